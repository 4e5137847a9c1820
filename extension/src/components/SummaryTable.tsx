import type { JSX } from 'react';
import { count, percent, significant } from '../format';
import type { Names } from '../profiles/charts';
import type { ColumnSummary } from '../profiles/types';
import { DataTable, type TableColumn } from './DataTable';

interface Row {
  name: string;
  reference: string;
  window: string;
}

interface Props {
  names: Names;
  reference: ColumnSummary | null;
  window: ColumnSummary | null;
}

const NONE = '–';

/** Counts, moments and quantiles of a column, of one profile or of two side by side. */
export function SummaryTable({ names, reference, window }: Props): JSX.Element {
  const temporal = (reference ?? window)?.kind === 'datetime';
  const value = (one: number | null | undefined): string =>
    temporal && typeof one === 'number' ? instant(one) : significant(one);
  const facts: [string, (one: ColumnSummary) => string][] = [
    ['Rows', one => count(one.rows)],
    [
      'Missing',
      one => (one.nulls > 0 ? `${count(one.nulls)} (${percent(one.nulls / one.rows)})` : count(one.nulls))
    ],
    ['Infinite', one => (one.infinities > 0 ? count(one.infinities) : '')],
    ['Types', one => types(one)],
    ['Distinct, about', one => (one.distinct === null ? '' : count(Math.round(one.distinct)))],
    ['Mean', one => (one.mean === null ? '' : value(one.mean))],
    ['Standard deviation', one => (one.stddev === null || temporal ? '' : significant(one.stddev))],
    ['Minimum', one => (one.minimum === null ? '' : value(one.minimum))],
    ...['0.05', '0.25', '0.5', '0.75', '0.95'].map((level): [string, (one: ColumnSummary) => string] => [
      level === '0.5' ? 'Median' : `${Number(level) * 100}% quantile`,
      one => (one.quantiles[level] === undefined ? '' : value(one.quantiles[level]))
    ]),
    ['Maximum', one => (one.maximum === null ? '' : value(one.maximum))]
  ];
  const rows = facts
    .map(([name, fact]): Row => ({
      name,
      reference: reference ? fact(reference) : '',
      window: window ? fact(window) : ''
    }))
    .filter(row => row.reference !== '' || row.window !== '');
  const columns: TableColumn<Row>[] = [
    { title: 'Figure', cell: row => row.name },
    ...(names.reference === ''
      ? []
      : [{ title: names.reference, cell: (row: Row) => row.reference || NONE, numeric: true }]),
    { title: names.window, cell: row => row.window || NONE, numeric: true }
  ];
  return <DataTable label="Figures" columns={columns} rows={rows} compact />;
}

function types(one: ColumnSummary): string {
  const found = Object.entries(one.types).filter(([, n]) => n > 0);
  return found.length === 1
    ? (found[0]?.[0] ?? '')
    : found.map(([name, n]) => `${name} ${count(n)}`).join(', ');
}

function instant(seconds: number): string {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime())
    ? significant(seconds)
    : time.toISOString().slice(0, 19).replace('T', ' ');
}

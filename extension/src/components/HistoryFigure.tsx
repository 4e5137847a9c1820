import { type JSX, useCallback } from 'react';
import { count, percent, significant } from '../format';
import { useChartColors } from '../hooks/useChartColors';
import { useDetail } from '../hooks/useDetail';
import { bandSpec, historyLabel, historySharesSpec } from '../profiles/charts';
import type { ColumnHistory } from '../profiles/types';
import type { Selection } from '../selections';
import { useServices } from '../services';
import type { EndpointDetail } from '../types';
import { DataTable, type TableColumn } from './DataTable';
import { FailureNote } from './FailureNote';
import { Figure } from './Figure';
import { VegaChart } from './VegaChart';
import { WindowName } from './WindowName';

type Row = ColumnHistory['windows'][number];

interface Props {
  endpoint: EndpointDetail;
  selection: Selection;
  temporal: boolean;
  select: (start: string, model: string) => void;
}

/** A column over all windows: its quantiles as bands, or the shares of its categories. */
export function HistoryFigure({ endpoint, selection, temporal, select }: Props): JSX.Element | null {
  const { api, themes } = useServices();
  const colors = useChartColors(themes);
  const { name, window: unit } = endpoint;
  const { column } = selection;
  const load = useCallback(() => api.columnHistory(name, column), [api, name, column]);
  const newest = endpoint.windows.at(-1);
  const { value, failure, reload } = useDetail(load, `${newest?.start ?? ''} ${newest?.rows ?? 0}`);
  if (failure) {
    return <FailureNote failure={failure} retry={reload} />;
  }
  if (!value) {
    return (
      <p className="taxiway-note" role="status">
        Reading the windows before…
      </p>
    );
  }
  const bands = value.windows.some(one => one.quantiles !== null);
  const known = value.windows.filter(one => one.quantiles !== null || Object.keys(one.shares).length > 0);
  if (known.length === 0) {
    return null;
  }
  const spec = bands
    ? bandSpec(value, unit, selection.window, temporal, colors)
    : historySharesSpec(value, unit, selection.window, colors);
  const columns: TableColumn<Row>[] = [
    { title: 'Window', cell: one => <WindowName start={one.start} unit={unit} /> },
    ...(bands
      ? value.levels.map((level, index) => ({
          title: level === 0.5 ? 'Median' : `${level * 100}%`,
          cell: (one: Row) => significant(one.quantiles?.[index]),
          numeric: true
        }))
      : [{ title: 'Shares', cell: (one: Row) => sharesText(one.shares) }])
  ];
  return (
    <>
      <h3>
        {bands ? 'Over all windows: 5, 25, 50, 75 and 95% quantiles' : 'Over all windows: shares'}{' '}
        <small>
          {bands ? 'dashed: the reference’s; ' : ''}
          {value.total > value.windows.length
            ? `the newest ${count(value.windows.length)} of ${count(value.total)} windows; `
            : ''}
          click a window to show it
        </small>
      </h3>
      <Figure
        chart={
          <VegaChart
            spec={spec}
            label={`${bands ? 'Quantiles' : 'Shares'} of ${column} in ${known.length} windows`}
            cells={[known.map(one => historyLabel(one.start, unit))]}
            current={historyLabel(selection.window, unit)}
            onSelect={description => {
              const found = known.find(one => historyLabel(one.start, unit) === description);
              if (found) {
                select(found.start, found.model);
              }
            }}
          />
        }
        table={
          <DataTable label={`${column} per window`} columns={columns} rows={[...known].reverse()} compact />
        }
      />
    </>
  );
}

function sharesText(shares: Record<string, number>): string {
  return Object.entries(shares)
    .slice(0, 8)
    .map(([value, share]) => `${value} ${percent(share)}`)
    .join(', ');
}

import { type JSX, useCallback, useMemo } from 'react';
import { counted, pValue, significant } from '../format';
import { useColumns } from '../hooks/useColumns';
import { useDetail } from '../hooks/useDetail';
import type { Names } from '../profiles/charts';
import { type ColumnPair, type ProfileSource, sourceName } from '../profiles/types';
import { useServices } from '../services';
import { Badge } from './Badge';
import { Card } from './Card';
import { DataTable, type TableColumn } from './DataTable';
import { DistributionFigure } from './DistributionFigure';
import { DriftFacts } from './DriftFacts';
import { FailureNote } from './FailureNote';
import { SearchBox } from './SearchBox';
import { SummaryTable } from './SummaryTable';

interface Props {
  left: ProfileSource;
  /** A contents path. */
  right: string;
}

/** Two whylogs profiles side by side: how far every column of the right one is from the left one. */
export function ComparisonView({ left, right }: Props): JSX.Element {
  const { api } = useServices();
  const load = useCallback(() => api.comparison(left, right), [api, left, right]);
  const { value, failure, reload } = useDetail(load, '');
  const names = namesOf(left, right);
  const all = useMemo(() => value?.columns ?? [], [value]);
  const { search, setSearch, found, current, choose } = useColumns(all, columnOf);
  if (!value) {
    return (
      <div className="taxiway-view" tabIndex={0} aria-busy={!failure}>
        {failure ? (
          <FailureNote failure={failure} retry={reload} />
        ) : (
          <p className="taxiway-loading" role="status">
            Comparing {names.window} with {names.reference}…
          </p>
        )}
      </div>
    );
  }
  return (
    <div className="taxiway-view" tabIndex={0}>
      {failure ? <FailureNote failure={failure} retry={reload} /> : null}
      <header>
        <div className="taxiway-headline">
          <h1>
            {names.window} against {names.reference}
          </h1>
        </div>
        <p>{verdict(all, names)}</p>
      </header>
      {current ? (
        <Card title={current.column} note="choose another below">
          {current.drift ? <DriftFacts drift={current.drift} /> : <p>{onlyIn(current, names)}</p>}
          <div className="taxiway-pair">
            <DistributionFigure column={current.column} distribution={current.distribution} names={names} />
            <SummaryTable names={names} reference={current.reference} window={current.window} />
          </div>
        </Card>
      ) : null}
      <Card title="Columns" note="what only one of them has first, then the most drifted">
        {all.length > 8 ? (
          <SearchBox
            what="column"
            search={search}
            change={setSearch}
            found={found.length}
            total={all.length}
          />
        ) : null}
        <DataTable
          label="Columns"
          columns={columnsOf(names, choose)}
          rows={found}
          limit={50}
          isCurrent={pair => pair === current}
        />
      </Card>
    </div>
  );
}

function columnOf(pair: ColumnPair): string {
  return pair.column;
}

/** The files' names; with their folders where the names alone are the same. */
function namesOf(left: ProfileSource, right: string): Names {
  const [reference, window] = [sourceName(left), sourceName({ kind: 'file', path: right })];
  return reference === window && left.kind === 'file'
    ? { reference: left.path, window: right }
    : { reference, window };
}

function verdict(pairs: readonly ColumnPair[], names: Names): string {
  const drifted = pairs.filter(pair => pair.drift?.drifted).length;
  const compared = pairs.filter(pair => pair.drift).length;
  const added = pairs.filter(pair => !pair.reference).length;
  const removed = pairs.filter(pair => !pair.window).length;
  return [
    `${drifted} of ${counted(compared, 'column')} drifted.`,
    ...(added > 0 ? [`${counted(added, 'column')} only in ${names.window}.`] : []),
    ...(removed > 0 ? [`${counted(removed, 'column')} only in ${names.reference}.`] : [])
  ].join(' ');
}

function onlyIn(pair: ColumnPair, names: Names): string {
  return pair.reference ? `Only in ${names.reference}.` : `Only in ${names.window}.`;
}

function columnsOf(names: Names, choose: (column: string) => void): TableColumn<ColumnPair>[] {
  const measures: [string, (pair: ColumnPair) => number | null | undefined][] = [
    ['PSI', pair => pair.drift?.psi],
    ['KS or χ²', pair => pair.drift?.statistic],
    ['Jensen–Shannon', pair => pair.drift?.jensen_shannon],
    ['Wasserstein', pair => pair.drift?.wasserstein]
  ];
  return [
    {
      title: 'Column',
      key: pair => pair.column,
      cell: ({ column }) => (
        <button
          type="button"
          className="taxiway-link"
          title={`Show ${column}`}
          onClick={() => {
            choose(column);
          }}
        >
          {column}
        </button>
      )
    },
    {
      title: 'Verdict',
      key: pair => (pair.drift ? (pair.drift.drifted ? 1 : 2) : 0),
      cell: pair =>
        pair.drift ? (
          pair.drift.drifted ? (
            <Badge tone="warn" text="drifted" />
          ) : (
            'no drift'
          )
        ) : (
          <Badge tone="bad" text={onlyIn(pair, names)} />
        )
    },
    ...measures.map(([title, number]): TableColumn<ColumnPair> => ({
      title,
      cell: pair => significant(number(pair)),
      key: number,
      numeric: true
    })),
    {
      title: 'p value',
      cell: pair => pValue(pair.drift?.p_value),
      key: pair => pair.drift?.p_value,
      numeric: true
    },
    { title: 'What moved', prose: true, cell: pair => pair.drift?.text ?? '' }
  ];
}

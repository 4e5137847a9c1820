import { type JSX, useCallback, useMemo } from 'react';
import { count, localTime, percent, significant, utcTime } from '../format';
import { useColumns } from '../hooks/useColumns';
import { useDetail } from '../hooks/useDetail';
import type { Names } from '../profiles/charts';
import type { ProfileColumn } from '../profiles/types';
import { useServices } from '../services';
import { Card } from './Card';
import { DataTable, type TableColumn } from './DataTable';
import { DistributionFigure } from './DistributionFigure';
import { EmptyState } from './EmptyState';
import { type Fact, Facts } from './Facts';
import { FailureNote } from './FailureNote';
import { JsonTable } from './JsonTable';
import { SearchBox } from './SearchBox';
import { SummaryTable } from './SummaryTable';

interface Props {
  /** The contents path. */
  path: string;
  /** A text that differs when the file may have changed. */
  version: string;
}

/** What is in a whylogs profile: its columns as a table, and one of them as a chart. */
export function ProfileView({ path, version }: Props): JSX.Element {
  const { api } = useServices();
  const load = useCallback(() => api.profile(path), [api, path]);
  const { value: profile, failure, reload } = useDetail(load, version);
  const name = path.split('/').pop() ?? path;
  const all = useMemo(() => profile?.columns ?? [], [profile]);
  const { search, setSearch, found, current, choose } = useColumns(all, columnOf);
  if (!profile) {
    return (
      <div className="taxiway-view" tabIndex={0} aria-busy={!failure}>
        {failure ? (
          <FailureNote failure={failure} retry={reload} />
        ) : (
          <p className="taxiway-loading" role="status">
            Reading {name}…
          </p>
        )}
      </div>
    );
  }
  const names: Names = { reference: '', window: name };
  const facts: Fact[] = [
    ['Rows', count(profile.rows)],
    ['Columns', count(profile.total)],
    ...(profile.time === null ? [] : [['Time of the data, UTC', utcTime(profile.time)] as const]),
    ...(profile.created === null ? [] : [['Profiled', localTime(profile.created)] as const])
  ];
  return (
    <div className="taxiway-view" tabIndex={0}>
      {failure ? <FailureNote failure={failure} retry={reload} /> : null}
      <header>
        <div className="taxiway-headline">
          <h1>{name}</h1>
        </div>
        <Facts facts={facts} />
      </header>
      {current ? (
        <Card title={current.summary.column} note={`${current.summary.kind}; choose another below`}>
          <div className="taxiway-pair">
            <DistributionFigure
              column={current.summary.column}
              distribution={current.distribution}
              names={names}
            />
            <SummaryTable names={names} reference={null} window={current.summary} />
          </div>
        </Card>
      ) : (
        <EmptyState>The profile has no column.</EmptyState>
      )}
      {all.length > 0 ? (
        <Card
          title="Columns"
          note={
            profile.total > all.length
              ? `the first ${count(all.length)} of ${count(profile.total)} by name`
              : undefined
          }
        >
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
            columns={columnsOf(choose)}
            rows={found}
            limit={50}
            isCurrent={one => one === current}
          />
        </Card>
      ) : null}
      {Object.keys(profile.metadata).length > 0 ? (
        <Card title="Metadata">
          <JsonTable label="Metadata" value={profile.metadata} />
        </Card>
      ) : null}
    </div>
  );
}

function columnOf(one: ProfileColumn): string {
  return one.summary.column;
}

function columnsOf(choose: (column: string) => void): TableColumn<ProfileColumn>[] {
  const value = ({ summary }: ProfileColumn, one: number | null): string =>
    summary.kind === 'datetime' && one !== null
      ? new Date(one * 1000).toISOString().slice(0, 10)
      : significant(one);
  const numbers: [string, (one: ProfileColumn) => number | null][] = [
    ['Mean', one => one.summary.mean],
    ['Minimum', one => one.summary.minimum],
    ['Median', one => one.summary.quantiles['0.5'] ?? null],
    ['Maximum', one => one.summary.maximum]
  ];
  return [
    {
      title: 'Column',
      key: one => one.summary.column,
      cell: ({ summary: { column } }) => (
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
    { title: 'Kind', cell: one => one.summary.kind, key: one => one.summary.kind },
    {
      title: 'Values',
      cell: one => count(one.summary.rows - one.summary.nulls),
      key: one => one.summary.rows - one.summary.nulls,
      numeric: true
    },
    {
      title: 'Missing',
      cell: ({ summary }) => (summary.rows > 0 ? percent(summary.nulls / summary.rows) : '–'),
      key: ({ summary }) => (summary.rows > 0 ? summary.nulls / summary.rows : null),
      numeric: true
    },
    {
      title: 'Distinct, about',
      cell: ({ summary }) => (summary.distinct === null ? '–' : count(Math.round(summary.distinct))),
      key: one => one.summary.distinct,
      numeric: true
    },
    ...numbers.map(([title, number]): TableColumn<ProfileColumn> => ({
      title,
      cell: one => value(one, number(one)),
      key: number,
      numeric: true
    })),
    {
      title: 'Std. dev.',
      cell: one => significant(one.summary.stddev),
      key: one => one.summary.stddev,
      numeric: true
    },
    {
      title: 'Most frequent',
      prose: true,
      cell: ({ summary }) =>
        summary.frequent
          .slice(0, 3)
          .map(([text, n]) => `${text.length > 24 ? `${text.slice(0, 23)}…` : text} (${count(n)})`)
          .join(', ')
    }
  ];
}

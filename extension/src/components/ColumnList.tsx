import { type JSX, useMemo, useState } from 'react';
import { pValue, percent, significant } from '../format';
import { useSelection } from '../hooks/useSelection';
import { useServices } from '../services';
import { matching } from '../sorting';
import type { DriftedColumn, EndpointDetail } from '../types';
import { Badge } from './Badge';
import { DataTable, type TableColumn } from './DataTable';
import { SearchBox } from './SearchBox';
import { WindowName } from './WindowName';

/** So many columns are found by eye. */
const FEW = 12;

/** Every column and its drift in the newest window; a name opens its distribution. */
export function ColumnList({ endpoint }: { endpoint: EndpointDetail }): JSX.Element | null {
  const { selections } = useServices();
  const [search, setSearch] = useState('');
  const selection = useSelection(selections, endpoint.name);
  const all = useMemo(() => endpoint.columns ?? [], [endpoint.columns]);
  const found = useMemo(() => matching(all, column => column.column, search), [all, search]);
  const weighted = all.some(column => typeof column.contribution === 'number');
  if (all.length === 0) {
    return null;
  }
  const columns: TableColumn<DriftedColumn>[] = [
    {
      title: 'Column',
      key: column => column.column,
      cell: column => (
        <button
          type="button"
          className="taxiway-link"
          title={`Show the distribution of ${column.column}`}
          onClick={() => {
            selections.select(endpoint.name, { column: column.column, window: column.window, model: null });
          }}
        >
          {column.column}
        </button>
      )
    },
    {
      title: 'Newest window',
      key: column => column.window,
      cell: column => <WindowName start={column.window} unit={endpoint.window} />
    },
    {
      title: 'Now',
      key: column => (column.gone ? 0 : column.drifted ? 2 : 1),
      cell: column =>
        column.gone ? (
          <Badge tone="plain" text="gone" />
        ) : column.drifted ? (
          <Badge tone="warn" text="drifted" />
        ) : (
          'no drift'
        )
    },
    { title: 'PSI', key: column => column.psi, cell: column => significant(column.psi), numeric: true },
    { title: 'Peak', key: column => column.peak, cell: column => significant(column.peak), numeric: true },
    {
      title: 'p value',
      key: column => column.p_value,
      cell: column => pValue(column.p_value),
      numeric: true
    },
    ...(weighted
      ? [
          {
            title: 'Contribution',
            key: (column: DriftedColumn) => column.contribution,
            cell: (column: DriftedColumn) => percent(column.contribution, 0),
            numeric: true
          }
        ]
      : []),
    { title: 'What moved', prose: true, cell: column => column.text ?? '' }
  ];
  return (
    <>
      {all.length > FEW ? (
        <SearchBox what="column" search={search} change={setSearch} found={found.length} total={all.length} />
      ) : null}
      <DataTable
        label="Columns"
        columns={columns}
        rows={found}
        limit={FEW}
        isCurrent={column => column.column === selection?.column}
      />
    </>
  );
}

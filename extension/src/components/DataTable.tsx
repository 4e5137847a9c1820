import { Button } from '@jupyterlab/ui-components';
import { type JSX, type ReactNode, useState } from 'react';
import { count } from '../format';

export interface TableColumn<T> {
  title: string;
  cell: (row: T) => ReactNode;
  numeric?: boolean;
}

interface Props<T> {
  label: string;
  columns: readonly TableColumn<T>[];
  rows: readonly T[];
  /** How many rows are shown until all are asked for. */
  limit?: number;
  /** No wider than what is in it. */
  compact?: boolean;
}

/** A table that scrolls sideways in a narrow place and shows a long list only when asked. */
export function DataTable<T>({ label, columns, rows, limit = 20, compact = false }: Props<T>): JSX.Element {
  const [all, setAll] = useState(false);
  const shown = all ? rows : rows.slice(0, limit);
  return (
    <div
      className={compact ? 'taxiway-table taxiway-compact' : 'taxiway-table'}
      role="region"
      aria-label={label}
      tabIndex={0}
    >
      <table>
        <thead>
          <tr>
            {columns.map(column => (
              <th key={column.title} scope="col" className={column.numeric ? 'taxiway-numeric' : undefined}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row, index) => (
            <tr key={index}>
              {columns.map(column => (
                <td key={column.title} className={column.numeric ? 'taxiway-numeric' : undefined}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > limit ? (
        <Button
          minimal
          small
          className="taxiway-more"
          onClick={() => {
            setAll(!all);
          }}
        >
          {all ? `Show the first ${count(limit)}` : `Show all ${count(rows.length)}`}
        </Button>
      ) : null}
    </div>
  );
}

import { Button } from '@jupyterlab/ui-components';
import { type JSX, type ReactNode, useMemo, useState } from 'react';
import { count } from '../format';
import { type Order, sorted, type SortKey } from '../sorting';

export interface TableColumn<T> {
  title: string;
  cell: (row: T) => ReactNode;
  numeric?: boolean;
  /** Sentences, which need some room. */
  prose?: boolean;
  /** What the table can be sorted by; the title is a button then. */
  key?: (row: T) => SortKey;
}

interface Props<T> {
  label: string;
  columns: readonly TableColumn<T>[];
  rows: readonly T[];
  /** How many rows are shown until more are asked for. */
  limit?: number;
  /** No wider than what is in it. */
  compact?: boolean;
  /** Which row is shown elsewhere. */
  isCurrent?: (row: T) => boolean;
}

/** From so many rows on, they are asked for some at a time. */
const ALL_AT_ONCE = 400;

/** A table that scrolls sideways in a narrow place and shows a long list only when asked. */
export function DataTable<T>({
  label,
  columns,
  rows,
  limit = 20,
  compact = false,
  isCurrent
}: Props<T>): JSX.Element {
  const [shown, setShown] = useState(limit);
  const [order, setOrder] = useState<Order | null>(null);
  const key = order === null ? undefined : columns[order.column]?.key;
  const ordered = useMemo(
    () => (key && order ? sorted(rows, key, order.descending) : rows),
    [rows, key, order]
  );
  const left = rows.length - shown;
  const few = rows.length <= ALL_AT_ONCE;
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
            {columns.map((column, index) => {
              const mine = order?.column === index ? order : null;
              return (
                <th
                  key={column.title}
                  scope="col"
                  className={kindOf(column)}
                  aria-sort={mine ? (mine.descending ? 'descending' : 'ascending') : undefined}
                >
                  {column.key ? (
                    <button
                      type="button"
                      className="taxiway-sort"
                      onClick={() => {
                        setOrder({
                          column: index,
                          descending: mine ? !mine.descending : column.numeric === true
                        });
                      }}
                    >
                      {column.title}
                      <span aria-hidden="true">{mine ? (mine.descending ? ' ↓' : ' ↑') : ''}</span>
                    </button>
                  ) : (
                    column.title
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {ordered.slice(0, shown).map((row, index) => (
            <tr key={index} aria-current={isCurrent?.(row) ? 'true' : undefined}>
              {columns.map(column => (
                <td key={column.title} className={kindOf(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {left > 0 || shown > limit ? (
        <Button
          minimal
          small
          className="taxiway-more"
          onClick={() => {
            setShown(left <= 0 ? limit : few ? rows.length : shown + ALL_AT_ONCE / 2);
          }}
        >
          {left <= 0
            ? `Show the first ${count(limit)}`
            : few
              ? `Show all ${count(rows.length)}`
              : `Show more (${count(left)} left)`}
        </Button>
      ) : null}
    </div>
  );
}

function kindOf<T>({ numeric, prose }: TableColumn<T>): string | undefined {
  return numeric ? 'taxiway-numeric' : prose ? 'taxiway-prose' : undefined;
}

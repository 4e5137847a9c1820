import type { JSX } from 'react';
import { bytes, flat, inline, significant } from '../format';
import { DataTable, type TableColumn } from './DataTable';
import { EmptyState } from './EmptyState';

type Entry = readonly [name: string, value: unknown];

const COLUMNS: readonly TableColumn<Entry>[] = [
  { title: 'Name', cell: ([name]) => name },
  {
    title: 'Value',
    cell: ([name, value]) => (
      <span className="taxiway-wrap" title={inline(value, 2000)}>
        {typeof value === 'number' ? number(name, value) : inline(value, 240)}
      </span>
    )
  }
];

/** The names and values of a JSON object. */
export function JsonTable({
  label,
  value
}: {
  label: string;
  value: Record<string, unknown> | null;
}): JSX.Element {
  const entries = flat(value ?? {}).filter(([, item]) => item !== null && inline(item) !== '');
  return entries.length === 0 ? (
    <EmptyState>None recorded.</EmptyState>
  ) : (
    <DataTable label={label} columns={COLUMNS} rows={entries} limit={12} compact />
  );
}

function number(name: string, value: number): string {
  if (name.endsWith('bytes')) {
    return bytes(value);
  }
  return Number.isInteger(value) ? String(value) : significant(value);
}

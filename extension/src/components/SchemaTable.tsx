import type { JSX } from 'react';
import { changeName } from '../changes';
import { count, inline } from '../format';
import type { SchemaChange } from '../types';
import { Badge } from './Badge';
import { DataTable, type TableColumn } from './DataTable';
import { EmptyState } from './EmptyState';
import { Time } from './Time';

const COLUMNS: readonly TableColumn<SchemaChange>[] = [
  { title: 'Change', cell: change => changeName(change.kind) },
  { title: 'Column', cell: change => <code>{change.column}</code> },
  {
    title: 'Effect',
    cell: change =>
      change.rejected ? <Badge tone="bad" text="rejected" /> : <Badge tone="warn" text="answered" />
  },
  { title: 'Expected', cell: change => inline(change.expected || null, 40) },
  { title: 'Found', cell: change => inline(change.found || null, 40) },
  { title: 'Example', cell: change => <code>{inline(change.example, 40)}</code> },
  { title: 'Rows', cell: change => count(change.count), numeric: true },
  { title: 'First seen', cell: change => <Time iso={change.first_seen} /> },
  { title: 'Last seen', cell: change => <Time iso={change.last_seen} /> }
];

/** Where requests differed from what the Model was trained on. */
export function SchemaTable({ changes }: { changes: readonly SchemaChange[] }): JSX.Element {
  if (changes.length === 0) {
    return (
      <EmptyState>Every request has had the columns and types that the Model was trained on.</EmptyState>
    );
  }
  return <DataTable label="Schema changes" columns={COLUMNS} rows={changes} />;
}

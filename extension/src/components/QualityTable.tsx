import type { JSX } from 'react';
import { changeName } from '../changes';
import { count, inline } from '../format';
import type { QualityFinding, WindowUnit } from '../types';
import { Badge } from './Badge';
import { DataTable, type TableColumn } from './DataTable';
import { Phrase } from './Phrase';
import { WindowName } from './WindowName';

interface Props {
  findings: readonly QualityFinding[];
  unit: WindowUnit;
}

/** How the data of windows are shaped otherwise than the reference. */
export function QualityTable({ findings, unit }: Props): JSX.Element {
  const columns: TableColumn<QualityFinding>[] = [
    { title: 'Change', cell: one => changeName(one.kind), key: one => one.kind },
    {
      title: 'Column',
      cell: one => <code>{one.related ? `${one.column} → ${one.related}` : one.column}</code>,
      key: one => one.column
    },
    { title: 'Now', cell: one => (one.now ? <Badge tone="warn" text="still so" /> : 'no longer') },
    { title: 'What', prose: true, cell: one => <Phrase text={one.text} /> },
    { title: 'Example', cell: one => <code>{inline(one.example, 40)}</code> },
    { title: 'First', cell: one => <WindowName start={one.first} unit={unit} />, key: one => one.first },
    { title: 'Last', cell: one => <WindowName start={one.last} unit={unit} />, key: one => one.last },
    { title: 'Windows', cell: one => count(one.windows), key: one => one.windows, numeric: true }
  ];
  return <DataTable label="Changes of the data’s shape" columns={columns} rows={findings} />;
}

import type { JSX } from 'react';
import { words } from '../format';
import { checkTone } from '../tones';
import type { Check } from '../types';
import { Badge } from './Badge';
import { DataTable, type TableColumn } from './DataTable';
import { EmptyState } from './EmptyState';
import { Phrase } from './Phrase';

const COLUMNS: readonly TableColumn<Check>[] = [
  { title: 'Check', cell: check => words(check.name) },
  { title: 'Level', cell: check => check.level },
  { title: 'Result', cell: check => <Badge tone={checkTone(check)} text={check.result} /> },
  {
    title: 'Reason',
    cell: check => (
      <>
        <Phrase text={check.reason} />
        {check.remedy && check.result !== 'passed' ? (
          <div className="taxiway-note">
            <Phrase text={check.remedy} />
          </div>
        ) : null}
      </>
    )
  }
];

/** The named checks that a Model has passed or failed. */
export function PreflightTable({ checks }: { checks: readonly Check[] }): JSX.Element {
  return checks.length === 0 ? (
    <EmptyState>No check was recorded.</EmptyState>
  ) : (
    <DataTable label="Preflight" columns={COLUMNS} rows={checks} />
  );
}

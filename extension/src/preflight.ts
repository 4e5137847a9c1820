/** What is shown of a preflight while it runs and when it has ended. */

import type { Check, PreflightRun } from './types';

export function isBusy(run: PreflightRun | null): boolean {
  return run?.state === 'running' || run?.state === 'cancelling';
}

/** The checks on record, with those of the run that goes on in the place of the same names. */
export function merged(recorded: readonly Check[], run: PreflightRun | null): Check[] {
  const made = new Map((isBusy(run) ? (run?.checks ?? []) : []).map(check => [check.name, check]));
  const updated = recorded.map(check => made.get(check.name) ?? check);
  const known = new Set(recorded.map(check => check.name));
  return [...updated, ...[...made.values()].filter(check => !known.has(check.name))];
}

/** One sentence on how it goes or went; empty where the table says it all. */
export function progressText(run: PreflightRun | null): string {
  switch (run?.state) {
    case 'running':
      return `${sentence(run.stage ?? 'starting')}…`;
    case 'cancelling':
      return 'Cancelling…';
    case 'cancelled':
      return 'Cancelled; the checks on record are as they were.';
    case 'done':
      return `Done: ${outcome(run.checks ?? [])}.`;
    default:
      return '';
  }
}

function outcome(checks: readonly Check[]): string {
  const failed = checks
    .filter(check => check.result === 'failed')
    .map(check => check.name.replaceAll('_', ' '));
  const made = `${checks.length} checks were made again`;
  return failed.length === 0 ? `${made} and none failed` : `${made}; look at ${failed.join(', ')}`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

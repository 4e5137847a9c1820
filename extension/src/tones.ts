/** Which tone a state has. */

import type { Tone } from './components/Badge';
import type { Alert, Check, Run, Status } from './types';

export const STATUS_TONES: Record<Status, Tone> = {
  READY: 'good',
  PENDING: 'busy',
  STOPPING: 'busy',
  DEGRADED: 'warn',
  FAILED: 'bad',
  ABSENT: 'plain',
  UNKNOWN: 'plain'
};

export const SEVERITY_TONES: Record<Alert['severity'], Tone> = {
  info: 'plain',
  warning: 'warn',
  critical: 'bad'
};

export const RUN_TONES: Record<Run['state'], Tone> = {
  queued: 'plain',
  running: 'busy',
  succeeded: 'good',
  failed: 'bad'
};

export const CHECK_TONES: Record<Check['result'], Tone> = {
  passed: 'good',
  failed: 'bad',
  waived: 'warn',
  skipped: 'plain'
};

const VERDICT_TONES = new Map<string, Tone>([
  ['promote', 'good'],
  ['keep watching', 'busy'],
  ['reject', 'bad']
]);

export function verdictTone(verdict: string): Tone {
  return VERDICT_TONES.get(verdict) ?? 'plain';
}

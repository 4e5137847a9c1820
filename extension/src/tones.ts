/** Which tone a state has. */

import type { Tone } from './components/Badge';
import type { Alert, Check, PreflightSummary, Run, Status } from './types';

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

const LEVEL_TONES: Record<Check['level'], Tone> = {
  blocking: 'bad',
  warning: 'warn',
  note: 'plain'
};

/** A failed check is as bad as its level. */
export function checkTone({ level, result }: Pick<Check, 'level' | 'result'>): Tone {
  switch (result) {
    case 'passed':
      return 'good';
    case 'failed':
      return LEVEL_TONES[level];
    case 'waived':
      return 'warn';
    case 'skipped':
      return 'plain';
  }
}

/** What the head of a Model says of its preflight; only what was replayed too has passed. */
export function preflightBadge({ ok, replayed }: Pick<PreflightSummary, 'ok' | 'replayed'>): {
  tone: Tone;
  text: string;
} {
  if (!ok) {
    return { tone: 'bad', text: 'preflight failed' };
  }
  return replayed ? { tone: 'good', text: 'preflight passed' } : { tone: 'plain', text: 'not replayed yet' };
}

const VERDICT_TONES = new Map<string, Tone>([
  ['promote', 'good'],
  ['keep watching', 'busy'],
  ['reject', 'bad']
]);

export function verdictTone(verdict: string): Tone {
  return VERDICT_TONES.get(verdict) ?? 'plain';
}

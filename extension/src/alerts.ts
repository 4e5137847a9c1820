/** What an alert means and how it stands, for people. */

import type { Tone } from './components/Badge';
import { significant, words } from './format';
import { SEVERITY_TONES } from './tones';
import type { Alert } from './types';

const MEANINGS = new Map([
  ['schema_added', 'Requests carry a column that the Model was not trained with; the Model does not see it.'],
  ['schema_removed', 'Requests lack a column that the Model needs; they are rejected.'],
  ['schema_retyped', 'A column comes in another type than the Model was trained with.'],
  ['schema_renamed', 'Requests lack a column and carry one much like it: it seems to have another name now.'],
  [
    'schema_reordered',
    'Requests have the columns in another order than the reference; they are told apart by name.'
  ],
  ['schema_rescaled', 'A column’s values look as they would in another unit.'],
  ['schema_constant', 'A column that varied in the reference has the same value in every row.'],
  ['schema_out_of_range', 'A column has values that lie outside the range of the reference.'],
  [
    'new_category',
    'A column has a value that the reference does not know; what the Model makes of it is untested.'
  ],
  ['null_share', 'More values are missing than in the reference.'],
  [
    'data_drift',
    'The values of a column are distributed otherwise than in the reference: more than chance, and enough to matter.'
  ],
  [
    'multivariate_drift',
    'A classifier tells the window’s rows from the reference’s: the columns have moved together.'
  ],
  ['prediction_drift', 'The Model predicts otherwise than it did on the reference.'],
  ['performance_drop', 'With the outcomes that came, the Model is worse than it was, by more than chance.'],
  [
    'estimated_drop',
    'The predictions alone suggest that the Model is worse than it was; no outcome says so yet.'
  ],
  ['concept_drift', 'The errors of the Model have changed: what it learned may no longer hold.'],
  ['slice_gap', 'For some rows the Model is worse than for the rest, by more than chance.'],
  ['shadow_errors', 'The shadow fails on requests that the live Model answers.'],
  ['predictions_lost', 'Predictions were answered but could not be written down; the windows lack them.'],
  [
    'clock_ahead',
    'A clock is wrong, the endpoint’s or a client’s: what is of such a time is kept, but not judged.'
  ],
  ['monitor_stopped', 'Nothing is watched at present.'],
  ['no_predictions', 'Nobody has asked the endpoint for three times as long as its longest pause before.'],
  ['log_stopped', 'The endpoint answers, but its predictions are not written down, or not read.'],
  ['sink_failed', 'Alerts cannot be delivered to where they should go.']
]);

/** What the rule of an alert means; empty for a rule of the user’s own. */
export function meaning(rule: string): string {
  return MEANINGS.get(rule) ?? '';
}

/** The value beside its threshold: `0.61, threshold 0.2`; empty without a value. */
export function measure({ value, threshold }: Pick<Alert, 'value' | 'threshold'>): string {
  if (typeof value !== 'number') {
    return '';
  }
  return typeof threshold === 'number'
    ? `${significant(value)}, threshold ${significant(threshold)}`
    : significant(value);
}

/** Whether nobody is told of it now: the server gives an end only while a silence holds. */
export function isSilenced({ silenced_until: until }: Pick<Alert, 'silenced_until'>): boolean {
  return typeof until === 'string';
}

/** The one word that says how an alert stands. */
export function stateBadge(alert: Alert): { tone: Tone; text: string } {
  if (alert.state === 'resolved') {
    return { tone: 'plain', text: 'resolved' };
  }
  if (isSilenced(alert)) {
    return { tone: 'plain', text: 'silenced' };
  }
  if (alert.state === 'pending') {
    return { tone: 'busy', text: 'pending' };
  }
  const tone = SEVERITY_TONES[alert.severity];
  return alert.state === 'acknowledged' ? { tone, text: 'acknowledged' } : { tone, text: alert.severity };
}

/** The name of a rule for people. */
export function ruleName(rule: string): string {
  return words(rule);
}

/** How long an alert may be silenced at one press. */
export const SILENCES: readonly (readonly [label: string, seconds: number])[] = [
  ['1 hour', 3600],
  ['8 hours', 8 * 3600],
  ['1 day', 86_400],
  ['1 week', 7 * 86_400]
];

/** The alerts that want a notification, and what has been told then: one each, again if it gets worse. */
export function untold(alerts: readonly Alert[], told: ReadonlySet<string>): Alert[] {
  return alerts.filter(alert => alert.state === 'firing' && !isSilenced(alert) && !told.has(mark(alert)));
}

export function mark({ id, severity }: Pick<Alert, 'id' | 'severity'>): string {
  return `${id} ${severity}`;
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBusy, merged, progressText } from '../../extension/src/preflight';
import { checkTone, preflightBadge } from '../../extension/src/tones';
import type { Check, PreflightRun } from '../../extension/src/types';

function check(name: string, result: Check['result'], reason = ''): Check {
  return { name, level: 'blocking', result, reason, remedy: '' };
}

function run(state: PreflightRun['state'], more: Partial<PreflightRun> = {}): PreflightRun {
  return { model: 'rain:0123456789ab', state, checks: [], ...more };
}

const recorded = [
  check('parity', 'passed'),
  check('clean_replay', 'skipped'),
  check('latency_budget', 'passed')
];

void test('while a preflight runs, what it has made stands in its place', () => {
  const made = [check('clean_replay', 'passed', 'alike'), check('environment_here', 'passed')];
  const shown = merged(recorded, run('running', { checks: made }));
  assert.deepEqual(
    shown.map(({ name, result }) => [name, result]),
    [
      ['parity', 'passed'],
      ['clean_replay', 'passed'],
      ['latency_budget', 'passed'],
      ['environment_here', 'passed']
    ]
  );
});

void test('when it has ended, the record is what counts', () => {
  const made = [check('clean_replay', 'failed')];
  for (const state of ['idle', 'cancelled', 'failed', 'done'] as const) {
    assert.deepEqual(merged(recorded, run(state, { checks: made })), recorded);
    assert.equal(isBusy(run(state)), false);
  }
  assert.deepEqual(merged(recorded, null), recorded);
  assert.equal(isBusy(run('cancelling')), true);
});

void test('one sentence says how it goes', () => {
  assert.equal(progressText(null), '');
  assert.equal(progressText(run('idle')), '');
  assert.equal(progressText(run('running', { stage: 'timing it' })), 'Timing it…');
  assert.equal(progressText(run('cancelling')), 'Cancelling…');
  assert.match(progressText(run('cancelled')), /as they were/);
  const checks = [check('clean_replay', 'failed'), check('format_safe', 'passed')];
  assert.equal(
    progressText(run('done', { checks })),
    'Done: 2 checks were made again; look at clean replay.'
  );
  assert.match(progressText(run('done', { checks: checks.slice(1) })), /none failed/);
});

void test('a failed check is as bad as its level', () => {
  assert.equal(checkTone({ level: 'blocking', result: 'failed' }), 'bad');
  assert.equal(checkTone({ level: 'warning', result: 'failed' }), 'warn');
  assert.equal(checkTone({ level: 'note', result: 'failed' }), 'plain');
  assert.equal(checkTone({ level: 'warning', result: 'passed' }), 'good');
});

void test('a preflight has passed when the Bento was replayed too', () => {
  assert.deepEqual(preflightBadge({ ok: true, replayed: true }), {
    tone: 'good',
    text: 'preflight passed'
  });
  assert.equal(preflightBadge({ ok: true, replayed: false }).text, 'not replayed yet');
  assert.equal(preflightBadge({ ok: false, replayed: false }).tone, 'bad');
});

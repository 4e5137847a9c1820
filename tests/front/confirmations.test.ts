import assert from 'node:assert/strict';
import { test } from 'node:test';
import { confirmPromote, confirmStopAgent } from '../../extension/src/confirmations';
import type { EndpointSummary } from '../../extension/src/types';

const RAIN: EndpointSummary = {
  name: 'rain',
  backend: 'local',
  status: 'READY',
  reason: '',
  url: null,
  live: 'rain:1',
  shadow: 'rain:2',
  window: 'hour',
  requests: 0,
  outcomes: 0,
  drifted_columns: [],
  accuracy: null,
  open_alerts: 0,
  updated: null
};

void test('promoting says what replaces what', () => {
  const asked = confirmPromote(RAIN, { verdict: 'promote', reasons: ['It is better.'] });
  assert.equal(asked.warn, false);
  assert.equal(asked.body[0], 'rain:2 goes live in place of rain:1.');
  assert.ok(asked.body.includes('The verdict is: promote. It is better.'));
});

void test('promoting without a verdict for it warns', () => {
  for (const report of [null, { verdict: 'keep watching', reasons: [] } as const]) {
    const asked = confirmPromote(RAIN, report && { ...report, reasons: [...report.reasons] });
    assert.equal(asked.warn, true);
    assert.equal(asked.accept, 'Promote All the Same');
  }
});

void test('stopping the agent warns of the endpoints that it stops', () => {
  assert.match(confirmStopAgent(2).body[0] ?? '', /all 2 endpoints of this machine.*will fail/);
  assert.equal(confirmStopAgent(0).warn, false);
});

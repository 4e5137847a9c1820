import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measure, stateBadge, untold } from '../../extension/src/alerts';
import { shareBars } from '../../extension/src/profiles/charts';
import type { Distribution } from '../../extension/src/profiles/types';
import { matching, sorted } from '../../extension/src/sorting';
import type { Alert } from '../../extension/src/types';

const NAMES = { reference: 'reference', window: 'May 2013' };

function distribution(more: Partial<Distribution>): Distribution {
  return {
    kind: 'numeric',
    edges: [],
    reference: null,
    window: null,
    categories: [],
    others: [null, null],
    text: '',
    ...more
  };
}

function alert(id: number, more: Partial<Alert> = {}): Alert {
  return {
    id,
    endpoint: 'rain',
    rule: 'data_drift',
    severity: 'warning',
    title: '',
    detail: '',
    column: null,
    state: 'firing',
    first_seen: '',
    last_seen: '',
    count: 1,
    ...more
  };
}

void test('bins have their edges, and a side that has no numbers has no bars', () => {
  const bars = shareBars(distribution({ edges: [0, 1, 2], window: [0.25, 0.75] }), NAMES);
  assert.deepEqual(
    bars.map(bar => [bar.side, bar.label, bar.low, bar.high, bar.share]),
    [
      ['May 2013', '0 to 1', 0, 1, 0.25],
      ['May 2013', '1 to 2', 1, 2, 0.75]
    ]
  );
});

void test('new categories and those that are gone are marked, the rest is one bar', () => {
  const categories = [
    { value: '', reference: 0.5, window: 0, new: false, vanished: true },
    { value: 'hail', reference: 0, window: 0.9, new: true, vanished: false }
  ];
  const bars = shareBars(distribution({ kind: 'categorical', categories, others: [0.5, 0.1] }), NAMES);
  assert.deepEqual(
    bars.map(bar => [bar.label, bar.side, bar.mark]),
    [
      ['(empty text)', 'reference', 'gone'],
      ['(empty text)', 'May 2013', ''],
      ['hail', 'reference', ''],
      ['hail', 'May 2013', 'new'],
      ['all others', 'reference', ''],
      ['all others', 'May 2013', '']
    ]
  );
});

void test('rows are sorted either way, those without a key last', () => {
  const rows = [null, 2, 1, undefined, 3];
  assert.deepEqual(
    sorted(rows, row => row, false),
    [1, 2, 3, null, undefined]
  );
  assert.deepEqual(
    sorted(rows, row => row, true),
    [3, 2, 1, null, undefined]
  );
});

void test('a search finds every word in any order and case', () => {
  const rows = ['temp_max', 'temp_min', 'wind'];
  assert.deepEqual(
    matching(rows, row => row, 'MAX temp'),
    ['temp_max']
  );
  assert.deepEqual(
    matching(rows, row => row, ' '),
    rows
  );
});

void test('an alert is told once, again when it gets worse, and not while it is silenced', () => {
  const told = new Set(['1 warning']);
  const alerts = [
    alert(1),
    alert(1, { severity: 'critical' }),
    alert(2),
    alert(3, { silenced_until: '2026-11-21T00:00:00Z' }),
    alert(4, { state: 'pending' }),
    alert(5, { state: 'acknowledged' })
  ];
  assert.deepEqual(
    untold(alerts, told).map(one => [one.id, one.severity]),
    [
      [1, 'critical'],
      [2, 'warning']
    ]
  );
});

void test('the badge tells how an alert stands, and the measure what it found', () => {
  const texts = [
    alert(1),
    alert(1, { state: 'pending' }),
    alert(1, { state: 'resolved', silenced_until: '2026-11-21T00:00:00Z' }),
    alert(1, { silenced_until: '2026-11-21T00:00:00Z' })
  ].map(one => stateBadge(one).text);
  assert.deepEqual(texts, ['warning', 'pending', 'resolved', 'silenced']);
  assert.equal(measure({ value: 0.6123, threshold: 0.2 }), '0.612, threshold 0.2');
  assert.equal(measure({ value: null, threshold: 0.2 }), '');
});

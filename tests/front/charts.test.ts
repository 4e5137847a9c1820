import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heatMap, MAX_COLUMNS, MAX_WINDOWS, TOGETHER } from '../../extension/src/charts';
import { changeMarks, scores } from '../../extension/src/performanceCharts';
import type { ColumnDrift, MonitoringWindow } from '../../extension/src/types';

function drift(column: string, psi: number | null, drifted = false): ColumnDrift {
  return { column, psi, drifted, statistic: null, p_value: null, kind: 'numeric' };
}

function month(
  number: number,
  columns: ColumnDrift[],
  more: Partial<MonitoringWindow> = {}
): MonitoringWindow {
  const start = new Date(Date.UTC(2013, number, 1)).toISOString();
  return {
    start,
    end: start,
    model: 'a:1',
    role: 'live',
    rows: 1,
    drift: columns,
    performance: null,
    ...more
  };
}

void test('drifted columns come first, then the larger index', () => {
  const map = heatMap([month(0, [drift('a', 0.1), drift('b', 0.9), drift('c', 0.2, true)])], 'month');
  assert.deepEqual(map.columns, ['c', 'b', 'a']);
});

void test('of two Models in one window the larger drift is shown', () => {
  const windows = [month(0, [drift('a', 0.3)]), month(0, [drift('a', 0.1)], { model: 'a:2' })];
  const map = heatMap(windows, 'month');
  assert.deepEqual(
    map.cells.map(cell => [cell.psi, cell.model]),
    [[0.3, 'a:1']]
  );
});

void test('the shadow has no place in the heat map', () => {
  assert.deepEqual(heatMap([month(0, [drift('a', 1)], { role: 'shadow' })], 'month').cells, []);
});

void test('many windows and columns are bounded, the newest and the most drifted kept', () => {
  const columns = Array.from({ length: 60 }, (_, index) => drift(`c${index}`, index));
  const map = heatMap(
    Array.from({ length: 200 }, (_, number) => month(number, columns)),
    'month'
  );
  assert.equal(map.columns.length, MAX_COLUMNS);
  assert.equal(map.columns[0], 'c59');
  assert.equal(map.total, 60);
  assert.equal(map.windows.length, MAX_WINDOWS);
  assert.equal(map.totalWindows, 200);
  assert.equal(map.cells.length, MAX_COLUMNS * MAX_WINDOWS);
});

void test('windows without outcomes have no score', () => {
  const performance = { metric: 'accuracy', value: 0.8, low: 0.7, high: 0.9, n: 10, coverage: 0.5 };
  const points = scores([month(0, []), month(1, [], { performance })], 'month');
  assert.equal(points.length, 1);
  assert.equal(points[0]?.intervalText, '70.0% to 90.0%');
  assert.equal(points[0].coverageText, '50.0%');
});

void test('what is estimated stands beside what is measured, of the live role only', () => {
  const performance = { metric: 'accuracy', value: 0.8, low: 0.7, high: 0.9, n: 10, coverage: 0.5 };
  const estimated = { method: 'cbpe', metric: 'accuracy', value: 0.82, low: 0.75, high: 0.88, n: 30 };
  const windows = [
    month(0, [], { performance, estimated }),
    month(1, [], { estimated }),
    month(1, [], { estimated, role: 'shadow' })
  ];
  assert.deepEqual(
    scores(windows, 'month').map(point => [point.series, point.value]),
    [
      ['live', 0.8],
      ['estimated', 0.82],
      ['estimated', 0.82]
    ]
  );
});

void test('all columns together have a row of their own, first, and are no column', () => {
  const multivariate = { auc: 0.75, low: 0.7, high: 0.8, p_value: 0.001, drifted: true };
  const map = heatMap([month(0, [drift('a', 0.1)], { multivariate })], 'month');
  assert.deepEqual(map.columns, [TOGETHER, 'a']);
  assert.equal(map.total, 1);
  assert.equal(map.cells[0]?.level, 0.25);
});

void test('a change of the errors is put into the window that its time is in', () => {
  const windows = [month(0, []), month(1, []), month(2, [])];
  const concept = {
    method: 'adwin',
    metric: 'error',
    drifted: true,
    changes: [
      { time: '2013-02-20T00:00:00Z', before: 0.1, after: 0.3, n: 50 },
      { time: '2012-02-20T00:00:00Z', before: 0.1, after: 0.3, n: 50 }
    ]
  };
  assert.deepEqual(changeMarks(concept, windows, 'month'), [
    { window: 'Feb 2013', place: 'in Feb 2013', text: 'mean error 0.1 → 0.3' }
  ]);
  assert.deepEqual(changeMarks(null, windows, 'month'), []);
});

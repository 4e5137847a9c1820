import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heatMap, MAX_COLUMNS, MAX_WINDOWS, scores } from '../../extension/src/charts';
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
  assert.equal(map.cells.length, MAX_COLUMNS * MAX_WINDOWS);
});

void test('windows without outcomes have no score', () => {
  const performance = { metric: 'accuracy', value: 0.8, low: 0.7, high: 0.9, n: 10, coverage: 0.5 };
  const points = scores([month(0, []), month(1, [], { performance })], 'month');
  assert.equal(points.length, 1);
  assert.equal(points[0]?.intervalText, '70.0 % to 90.0 %');
  assert.equal(points[0].coverageText, '50.0 %');
});

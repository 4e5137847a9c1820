import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cellAfter, firstCell } from '../../extension/src/cells';

const CELLS = [
  ['', 'b1', 'c1'],
  ['a2', '', 'c2'],
  ['a3', 'b3', '']
];

void test('the arrow keys lead from cell to cell, over what is empty, and no further than the edge', () => {
  assert.equal(cellAfter(CELLS, 'a2', 'ArrowRight'), 'c2');
  assert.equal(cellAfter(CELLS, 'c1', 'ArrowDown'), 'c2');
  assert.equal(cellAfter(CELLS, 'b3', 'ArrowUp'), 'b1');
  assert.equal(cellAfter(CELLS, 'b1', 'ArrowLeft'), null);
  assert.equal(cellAfter(CELLS, 'c2', 'ArrowDown'), null);
  assert.equal(cellAfter(CELLS, 'c1', 'Home'), 'b1');
  assert.equal(cellAfter(CELLS, 'a3', 'End'), 'b3');
  assert.equal(cellAfter(CELLS, 'a3', 'x'), null);
  assert.equal(cellAfter(CELLS, 'nowhere', 'ArrowUp'), null);
});

void test('the newest cell of the first row is reached first', () => {
  assert.equal(firstCell([['', ''], ...CELLS]), 'c1');
  assert.equal(firstCell([]), null);
});

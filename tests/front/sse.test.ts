import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from '../../extension/src/backoff';
import { EventParser } from '../../extension/src/sse';

void test('events are whole however the text is cut', () => {
  const text = 'event: overview\ndata: {"a":1}\n\n: ping\n\nevent: failure\ndata: x\ndata: y\n\n';
  for (let cut = 0; cut <= text.length; cut += 1) {
    const parser = new EventParser();
    const events = [...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))];
    assert.deepEqual(events, [
      { name: 'overview', data: '{"a":1}' },
      { name: 'failure', data: 'x\ny' }
    ]);
  }
});

void test('an event that is not complete is not given', () => {
  assert.deepEqual(new EventParser().push('event: overview\ndata: {}\n'), []);
});

void test('a colon in the data is data', () => {
  assert.deepEqual(new EventParser().push('data: a: b\n\n'), [{ name: 'message', data: 'a: b' }]);
});

void test('the wait grows and is bounded', () => {
  assert.equal(backoffMs(1, 1), 500);
  assert.equal(backoffMs(2, 1), 1000);
  assert.equal(backoffMs(50, 1), 15_000);
  assert.equal(backoffMs(50, 0), 7_500);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as format from '../../extension/src/format';

void test('numbers are as long as they need to be', () => {
  assert.equal(format.significant(0.12345), '0.123');
  assert.equal(format.significant(0), '0');
  assert.equal(format.significant(1234567), '1.2e+6');
  assert.equal(format.significant(0.00001), '1.0e-5');
  assert.equal(format.significant(null), '–');
  assert.equal(format.pValue(0.0000001), '< 0.001');
  assert.equal(format.pValue(0.04), '0.04');
  assert.equal(format.percent(0.7412), '74.1%');
  assert.equal(format.counted(1, 'row', 'en'), '1 row');
  assert.equal(format.counted(1200, 'row', 'en'), '1,200 rows');
  assert.equal(format.bytes(999), '999 B');
  assert.equal(format.bytes(48_213), '48.2 kB');
  assert.equal(format.duration(100_000), '1 min 40 s');
  assert.equal(format.gain(0.061, true), '+6.1');
  assert.equal(format.gain(-0.02, true), '−2.0');
  assert.equal(format.gain(0.31, false), '+0.31');
});

void test('an interval is told only where there is one', () => {
  assert.equal(format.interval({ value: 0.741, low: 0.714, high: 0.767 }), '74.1% (71.4% to 76.7%)');
  assert.equal(format.interval({ value: 0.741, low: null, high: null }), '74.1%');
});

void test('a window is named in UTC, whatever the zone of the reader', () => {
  assert.equal(format.windowLabel('2013-02-01T00:00:00+00:00', 'month', 'en-GB'), 'Feb 2013');
  assert.equal(format.windowLabel('2013-02-03T00:00:00+00:00', 'day', 'en-GB'), '3 Feb 2013');
  assert.equal(format.windowLabel('not a time', 'day'), 'not a time');
});

void test('a time of today needs no date', () => {
  const now = new Date(2026, 10, 21, 12);
  assert.equal(format.localTime(new Date(2026, 10, 21, 9, 5, 7).toISOString(), now, 'en-GB'), '09:05:07');
  assert.equal(
    format.localTime(new Date(2026, 10, 20, 9, 5).toISOString(), now, 'en-GB'),
    '20 Nov 2026, 09:05'
  );
});

void test('any value is one bounded line', () => {
  assert.equal(format.inline(['a', 'b']), 'a, b');
  assert.equal(format.inline({ a: 1 }), '{"a":1}');
  assert.equal(format.inline('x'.repeat(100), 10), `${'x'.repeat(9)}…`);
  assert.deepEqual(format.flat({ python: '3.11', needed: { numpy: '2.4' } }), [
    ['python', '3.11'],
    ['needed numpy', '2.4']
  ]);
});

void test('many names are enumerated, and a text becomes a sentence', () => {
  assert.equal(format.enumerated(['a', 'b']), 'a, b');
  assert.equal(format.enumerated(['a', 'b', 'c', 'd'], 2), 'a, b and 2 more');
  assert.equal(format.sentence('no change of the error'), 'No change of the error.');
  assert.equal(format.sentence('It rose.'), 'It rose.');
  assert.equal(format.utcTime('2013-03-01T01:00:00+01:00'), '2013-03-01 00:00');
});

void test('a window stands in a sentence as one says it', () => {
  const place = (unit: 'hour' | 'day' | 'week' | 'month'): string =>
    format.windowPlace('2026-11-16T14:00:00+00:00', unit, 'en-GB');
  assert.equal(place('month'), 'in Nov 2026');
  assert.equal(place('week'), 'in the week of 16 Nov 2026');
  assert.equal(place('day'), 'on 16 Nov 2026');
  assert.match(place('hour'), /^in the hour of 16 Nov, 14:00$/);
});

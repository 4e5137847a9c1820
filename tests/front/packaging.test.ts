import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Found, likeliestModel, references, targets } from '../../extension/src/packaging/candidates';
import { consistent, initialChoice } from '../../extension/src/packaging/choice';
import { modelName, packageCode, resultVariable } from '../../extension/src/packaging/code';

const PIPELINE = {
  variable: 'pipeline',
  type: 'Pipeline',
  framework: 'scikit-learn',
  fitted: true,
  columns: ['a', 'b'],
  features: 2
};

const FOUND: Found = {
  models: [PIPELINE, { ...PIPELINE, variable: 'draft', fitted: false }],
  data: [
    { variable: 'raw', kind: 'DataFrame', rows: 9, columns: ['a', 'b', 'c'] },
    { variable: 'other', kind: 'DataFrame', rows: 9, columns: ['x'] },
    { variable: 'X_test', kind: 'DataFrame', rows: 3, columns: ['a', 'b'] },
    { variable: 'X_train', kind: 'DataFrame', rows: 6, columns: ['a', 'b'] },
    { variable: 'y_test', kind: 'Series', rows: 3, columns: [] },
    { variable: 'y_train', kind: 'Series', rows: 6, columns: [] },
    { variable: 'dates', kind: 'Series', rows: 6, columns: [] }
  ],
  names: ['pipeline', 'draft', 'raw', 'other', 'X_test', 'X_train', 'y_test', 'y_train', 'dates']
};

void test('the newest fitted model is offered', () => {
  assert.equal(likeliestModel(FOUND)?.variable, 'pipeline');
  assert.equal(likeliestModel({ ...FOUND, models: [] }), null);
});

void test('data with exactly the columns of the model comes first, data without them never', () => {
  const names = references(PIPELINE, FOUND).map(datum => datum.variable);
  assert.deepEqual(names, ['X_train', 'X_test', 'raw']);
});

void test('the target has the rows of the reference', () => {
  const reference = FOUND.data[3] ?? null;
  assert.deepEqual(
    targets(reference, FOUND).map(datum => datum.variable),
    ['y_train', 'dates']
  );
});

void test('the dialog opens with what belongs together', () => {
  assert.deepEqual(initialChoice(FOUND, PIPELINE), {
    model: 'pipeline',
    name: 'pipeline',
    reference: 'X_train',
    target: 'y_train'
  });
  assert.equal(initialChoice({ ...FOUND, data: [] }, PIPELINE), null);
});

void test('another reference brings its target along', () => {
  const previous = initialChoice(FOUND, PIPELINE);
  assert.ok(previous);
  assert.equal(consistent({ ...previous, reference: 'X_test' }, previous, FOUND).target, 'y_test');
});

void test('a name is made one that a Model may have', () => {
  assert.equal(modelName('Rain Pipeline v2!'), 'rain-pipeline-v2');
  assert.equal(modelName('  9 lives_'), 'lives');
  assert.equal(modelName('"); import os'), 'import-os');
  assert.equal(modelName('日本'), 'model');
});

void test('the cell overwrites no variable of the user', () => {
  assert.equal(resultVariable('rain', ['rain_model', 'rain_model_2']), 'rain_model_3');
  const choice = { model: 'pipeline', name: 'rain', reference: 'X_train', target: null };
  assert.equal(
    packageCode(choice, FOUND.names),
    [
      'import taxiway',
      '',
      'rain_model = taxiway.package(',
      '    pipeline,',
      '    name="rain",',
      '    reference=X_train,',
      ')',
      'rain_model'
    ].join('\n')
  );
});

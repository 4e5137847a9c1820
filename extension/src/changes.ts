/** What a change of the schema is called. */

import { words } from './format';

const KINDS = new Map([
  ['extra', 'new column'],
  ['added', 'new column'],
  ['missing', 'removed column'],
  ['removed', 'removed column'],
  ['retyped', 'changed type'],
  ['renamed', 'renamed column'],
  ['reordered', 'changed order'],
  ['rescaled', 'changed unit'],
  ['null', 'empty value'],
  ['null_share', 'share of empty values'],
  ['new_category', 'new category'],
  ['constant', 'constant column'],
  ['out_of_range', 'out of range']
]);

export function changeName(kind: string): string {
  return KINDS.get(kind) ?? words(kind);
}

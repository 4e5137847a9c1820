import type { JSX } from 'react';
import { inline, significant } from '../format';
import type { InputColumn, ModelDetail, OutputColumn } from '../types';
import { DataTable, type TableColumn } from './DataTable';

const INPUTS: readonly TableColumn<InputColumn>[] = [
  { title: 'Input', cell: column => <code>{column.name}</code> },
  { title: 'Type', cell: column => column.dtype },
  { title: 'Nullable', cell: column => (column.nullable ? 'yes' : 'no') },
  {
    title: 'Values seen',
    cell: column =>
      column.categories
        ? inline(column.categories.map(String).join(', '), 120)
        : column.minimum === null && column.maximum === null
          ? ''
          : `${significant(column.minimum)} to ${significant(column.maximum)}`
  }
];

const OUTPUTS: readonly TableColumn<OutputColumn>[] = [
  { title: 'Output', cell: column => <code>{column.name}</code> },
  { title: 'Type', cell: column => column.dtype },
  { title: 'Shape', cell: column => (column.shape.length ? column.shape.join(' × ') : 'one value') }
];

/** What a Model takes and gives. */
export function SignatureTable({ signature }: { signature: ModelDetail['signature'] }): JSX.Element {
  return (
    <div className="taxiway-pair">
      <DataTable label="Inputs" columns={INPUTS} rows={signature.inputs} />
      <DataTable label="Outputs" columns={OUTPUTS} rows={signature.outputs} />
    </div>
  );
}

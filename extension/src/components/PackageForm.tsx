import { HTMLSelect } from '@jupyterlab/ui-components';
import { type JSX, useId } from 'react';
import { counted } from '../format';
import { type DataVariable, type Found, references, targets } from '../packaging/candidates';
import { type Choice, modelName, packageCode } from '../packaging/code';

interface Props {
  found: Found;
  choice: Choice;
  change: (choice: Choice) => void;
}

/** Which model, under which name, with which reference data; and the cell that comes of it. */
export function PackageForm({ found, choice, change }: Props): JSX.Element {
  const id = useId();
  const model = found.models.find(candidate => candidate.variable === choice.model);
  const frames = model ? references(model, found) : [];
  const reference = frames.find(frame => frame.variable === choice.reference) ?? null;
  const series = targets(reference, found);
  return (
    <div className="taxiway-form">
      <label htmlFor={`${id}-model`}>Model</label>
      <HTMLSelect
        id={`${id}-model`}
        value={choice.model}
        options={found.models.map(candidate => ({
          value: candidate.variable,
          label: `${candidate.variable} (${candidate.type}${candidate.fitted ? '' : ', not fitted'})`,
          disabled: !candidate.fitted
        }))}
        onChange={event => {
          change({ ...choice, model: event.target.value });
        }}
      />
      <label htmlFor={`${id}-name`}>Name</label>
      <input
        id={`${id}-name`}
        className="jp-mod-styled"
        value={choice.name}
        spellCheck={false}
        autoComplete="off"
        onChange={event => {
          change({ ...choice, name: event.target.value });
        }}
        onBlur={() => {
          change({ ...choice, name: modelName(choice.name) });
        }}
      />
      <label htmlFor={`${id}-reference`}>Reference data</label>
      <HTMLSelect
        id={`${id}-reference`}
        value={choice.reference}
        options={frames.map(option)}
        onChange={event => {
          change({ ...choice, reference: event.target.value });
        }}
      />
      <label htmlFor={`${id}-target`}>Target</label>
      <HTMLSelect
        id={`${id}-target`}
        value={choice.target ?? ''}
        options={[...series.map(option), { value: '', label: 'none' }]}
        onChange={event => {
          change({ ...choice, target: event.target.value || null });
        }}
      />
      <p className="taxiway-note">
        Later data is compared with the reference data; the target lets accuracy be compared too. This cell
        will be added below and run:
      </p>
      <pre tabIndex={0} aria-label="The cell">
        <code>{packageCode({ ...choice, name: modelName(choice.name) }, found.names)}</code>
      </pre>
    </div>
  );
}

function option(datum: DataVariable): { value: string; label: string } {
  const columns = datum.kind === 'DataFrame' ? ` × ${counted(datum.columns.length, 'column')}` : '';
  return { value: datum.variable, label: `${datum.variable} (${counted(datum.rows, 'row')}${columns})` };
}

import type { JSX } from 'react';
import { CommandIds } from '../commandIds';
import { useServices } from '../services';
import type { ModelSummary } from '../types';
import { Badge } from './Badge';
import { Time } from './Time';

/** One Model in the panel; opens it. */
export function ModelItem({ model }: { model: ModelSummary }): JSX.Element {
  const { commands } = useServices();
  return (
    <li>
      <button
        type="button"
        className="taxiway-item"
        title={`Open Model ${model.tag}`}
        onClick={() => void commands.execute(CommandIds.openModel, { tag: model.tag })}
      >
        <span className="taxiway-item-title">
          <span className="taxiway-name">{model.name}</span>
          <code>{model.version}</code>
        </span>
        <span className="taxiway-item-note">
          {model.preflight.ok ? null : <Badge tone="bad" text="preflight failed" />}
          {model.tags.map(word => (
            <Badge key={word} tone="plain" text={word} title={`${model.name}:${word} means this version`} />
          ))}
          {model.imported ? <Badge tone="plain" text="imported" /> : null}
          {model.live_on.map(name => (
            <Badge key={name} tone="good" text={`live on ${name}`} />
          ))}
          {model.shadow_on.map(name => (
            <Badge key={name} tone="busy" text={`shadow on ${name}`} />
          ))}
          <Time iso={model.created} />
        </span>
      </button>
    </li>
  );
}

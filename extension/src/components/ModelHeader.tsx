import type { JSX } from 'react';
import { CommandIds } from '../commandIds';
import { bytes } from '../format';
import { useServices } from '../services';
import { preflightBadge } from '../tones';
import type { ModelDetail } from '../types';
import { Badge } from './Badge';
import { CopyButton } from './CopyButton';
import { Facts } from './Facts';
import { Time } from './Time';

/** Which Model it is and where it is in use. */
export function ModelHeader({ model }: { model: ModelDetail }): JSX.Element {
  const { commands } = useServices();
  const endpoints = (names: readonly string[]): JSX.Element[] | string =>
    names.length === 0
      ? 'no endpoint'
      : names.map(name => (
          <button
            key={name}
            type="button"
            className="taxiway-link"
            title={`Open endpoint ${name}`}
            onClick={() => void commands.execute(CommandIds.openEndpoint, { name })}
          >
            {name}
          </button>
        ));
  return (
    <header className="taxiway-header">
      <div className="taxiway-headline">
        <h1>
          {model.name} <code>{model.version}</code>
        </h1>
        <CopyButton text={model.tag} what="the tag" />
        <Badge {...preflightBadge(model.preflight)} />
      </div>
      <Facts
        facts={[
          ['Created', <Time key="created" iso={model.created} />],
          ['Framework', model.framework],
          ['Task', model.task],
          ['Size', bytes(model.size_bytes)],
          ['Bento', model.bento ? <code key="bento">{model.bento}</code> : 'none'],
          ['Tags', model.tags.length === 0 ? 'none' : model.tags.join(', ')],
          ['Imported from', model.imported ? model.imported.source : 'packaged here'],
          ['Live on', endpoints(model.live_on)],
          ['Shadow on', endpoints(model.shadow_on)]
        ]}
      />
    </header>
  );
}

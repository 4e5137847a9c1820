import type { JSX } from 'react';
import { CommandIds } from '../commandIds';
import { counted, percent } from '../format';
import { useServices } from '../services';
import { STATUS_TONES } from '../tones';
import type { EndpointSummary } from '../types';
import { Badge } from './Badge';

/** One endpoint in the panel; opens it. */
export function EndpointItem({ endpoint }: { endpoint: EndpointSummary }): JSX.Element {
  const { commands } = useServices();
  const drifted = endpoint.drifted_columns;
  return (
    <li>
      <button
        type="button"
        className="taxiway-item"
        title={`Open endpoint ${endpoint.name}`}
        onClick={() => void commands.execute(CommandIds.openEndpoint, { name: endpoint.name })}
      >
        <span className="taxiway-item-title">
          <span className="taxiway-name">{endpoint.name}</span>
          <Badge
            tone={STATUS_TONES[endpoint.status]}
            text={endpoint.status.toLowerCase()}
            title={endpoint.reason ?? undefined}
          />
        </span>
        <span className="taxiway-item-note">
          <span>live {endpoint.live ?? 'none'}</span>
          {endpoint.shadow ? <span>shadow {endpoint.shadow}</span> : null}
        </span>
        <span className="taxiway-item-note">
          {endpoint.open_alerts > 0 ? (
            <Badge tone="bad" text={counted(endpoint.open_alerts, 'alert')} />
          ) : null}
          {drifted.length > 0 ? (
            <Badge tone="warn" text={`${drifted.length} drifted`} title={`Drifted: ${drifted.join(', ')}`} />
          ) : null}
          {endpoint.accuracy ? <span>accuracy {percent(endpoint.accuracy.value)}</span> : null}
          <span>{counted(endpoint.requests, 'prediction')}</span>
        </span>
      </button>
    </li>
  );
}

import { Button } from '@jupyterlab/ui-components';
import type { JSX } from 'react';
import { CommandIds } from '../commandIds';
import { counted } from '../format';
import { useServices } from '../services';
import { SEVERITY_TONES } from '../tones';
import type { Alert } from '../types';
import { Badge } from './Badge';
import { Phrase } from './Phrase';
import { Time } from './Time';

/** One alert; opens its endpoint, and can be acknowledged while it fires. */
export function AlertItem({ alert }: { alert: Alert }): JSX.Element {
  const { commands } = useServices();
  return (
    <li className={alert.state === 'resolved' ? 'taxiway-past' : undefined}>
      <div className="taxiway-row">
        <button
          type="button"
          className="taxiway-item"
          title={alert.detail || alert.title}
          onClick={() => void commands.execute(CommandIds.openEndpoint, { name: alert.endpoint })}
        >
          <span className="taxiway-wrap">
            <Phrase text={alert.title} />
          </span>
          <span className="taxiway-item-note">
            <Badge
              tone={alert.state === 'resolved' ? 'plain' : SEVERITY_TONES[alert.severity]}
              text={alert.state === 'firing' ? alert.severity : alert.state}
            />
            <span>{alert.endpoint}</span>
            <Time iso={alert.last_seen} />
            {alert.count > 1 ? <span>{counted(alert.count, 'time')}</span> : null}
          </span>
        </button>
        {alert.state === 'firing' ? (
          <Button
            minimal
            small
            title="Acknowledge"
            aria-label={`Acknowledge: ${alert.title}`}
            onClick={() => void commands.execute(CommandIds.acknowledge, { id: alert.id })}
          >
            Ack
          </Button>
        ) : null}
      </div>
    </li>
  );
}

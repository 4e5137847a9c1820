import { Button } from '@jupyterlab/ui-components';
import { type JSX, useId, useState } from 'react';
import { stateBadge } from '../alerts';
import { CommandIds } from '../commandIds';
import { counted } from '../format';
import { useServices } from '../services';
import type { Alert } from '../types';
import { AlertContext } from './AlertContext';
import { Badge } from './Badge';
import { Phrase } from './Phrase';
import { Time } from './Time';

interface Props {
  alert: Alert;
  /** Whether it is shown among what is its endpoint's anyway. */
  here?: boolean;
}

/** One alert; opens what it is about, tells its context, and can be acknowledged while it fires. */
export function AlertItem({ alert, here = false }: Props): JSX.Element {
  const { commands } = useServices();
  const [open, setOpen] = useState(false);
  const id = useId();
  const badge = stateBadge(alert);
  return (
    <li className={alert.state === 'resolved' ? 'taxiway-past' : undefined}>
      <div className="taxiway-row">
        <button
          type="button"
          className="taxiway-item"
          title={alert.detail || alert.title}
          onClick={() => void commands.execute(CommandIds.openEndpoint, target(alert))}
        >
          <span className="taxiway-wrap">
            <Phrase text={alert.title} />
          </span>
          <span className="taxiway-item-note">
            <Badge tone={badge.tone} text={badge.text} />
            {here ? null : <span>{alert.endpoint}</span>}
            <Time iso={alert.last_seen} />
            {alert.count > 1 ? <span>{counted(alert.count, 'time')}</span> : null}
          </span>
        </button>
        <span className="taxiway-row-actions">
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
          <Button
            minimal
            small
            title="What it means"
            aria-label={`Why: ${alert.title}`}
            aria-expanded={open}
            aria-controls={id}
            onClick={() => {
              setOpen(!open);
            }}
          >
            {open ? 'Less' : 'Why'}
          </Button>
        </span>
      </div>
      <div id={id} hidden={!open}>
        {open ? <AlertContext alert={alert} /> : null}
      </div>
    </li>
  );
}

/** The endpoint, and the column in the window if the alert is about one. */
function target({ endpoint, column, window_start: window }: Alert): Record<string, string> {
  return { name: endpoint, ...(column && window ? { column, window } : {}) };
}

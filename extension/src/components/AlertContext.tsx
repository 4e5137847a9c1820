import { Button } from '@jupyterlab/ui-components';
import type { JSX } from 'react';
import { isSilenced, meaning, measure, ruleName, SILENCES } from '../alerts';
import { CommandIds } from '../commandIds';
import { useServices } from '../services';
import type { Alert } from '../types';
import { type Fact, Facts } from './Facts';
import { Phrase } from './Phrase';
import { Time } from './Time';

/** What an alert means, what it measured, since when it holds; and how to have quiet from it. */
export function AlertContext({ alert }: { alert: Alert }): JSX.Element {
  const { commands } = useServices();
  const silenced = isSilenced(alert);
  const facts: Fact[] = [
    ['Rule', ruleName(alert.rule)],
    ...(measure(alert) ? [['Value', measure(alert)] as const] : []),
    ...(alert.column ? [['Column', <code key="column">{alert.column}</code>] as const] : []),
    ...(alert.window ? [['Window', alert.window] as const] : []),
    ['Since', <Time key="since" iso={alert.since ?? alert.first_seen} />],
    ...(silenced
      ? [['Silenced until', <Time key="until" iso={alert.silenced_until ?? null} />] as const]
      : [])
  ];
  return (
    <div className="taxiway-context">
      <p>{meaning(alert.rule)}</p>
      {alert.detail ? (
        <p>
          <Phrase text={alert.detail} />
        </p>
      ) : null}
      <Facts facts={facts} />
      {silenced ? (
        <div className="taxiway-actions">
          <Button
            small
            title="End the silence of this alert alone"
            aria-label={`End the silence: ${alert.title}`}
            onClick={() => void commands.execute(CommandIds.unsilence, { id: alert.id })}
          >
            End the silence
          </Button>
        </div>
      ) : null}
      {alert.state === 'resolved' || silenced ? null : (
        <div className="taxiway-actions" role="group" aria-label={`Silence: ${alert.title}`}>
          <span className="taxiway-note">Silence for</span>
          {SILENCES.map(([label, seconds]) => (
            <Button
              key={label}
              small
              title={`Tell nobody of it for ${label}`}
              onClick={() => void commands.execute(CommandIds.silence, { id: alert.id, seconds })}
            >
              {label}
            </Button>
          ))}
        </div>
      )}
    </div>
  );
}

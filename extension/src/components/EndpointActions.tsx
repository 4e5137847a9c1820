import type { JSX } from 'react';
import { CommandIds } from '../commandIds';
import type { EndpointSummary } from '../types';
import { CommandButton } from './CommandButton';

/** What can be done to an endpoint; each asks before it acts. */
export function EndpointActions({ endpoint }: { endpoint: EndpointSummary }): JSX.Element {
  const args = { endpoint: endpoint.name };
  return (
    <div className="taxiway-actions" role="group" aria-label={`Actions on ${endpoint.name}`}>
      {endpoint.shadow ? (
        <>
          <CommandButton
            command={CommandIds.promote}
            args={args}
            text="Promote"
            title={`Make ${endpoint.shadow} live`}
          />
          <CommandButton
            command={CommandIds.stopShadow}
            args={args}
            text="Stop Shadow"
            title={`Send no more traffic to ${endpoint.shadow}`}
          />
        </>
      ) : (
        <CommandButton
          command={CommandIds.startShadow}
          args={args}
          text="Start Shadow"
          title="Let another Model see the live traffic without answering it"
        />
      )}
      <CommandButton
        command={CommandIds.rollback}
        args={args}
        text="Roll Back"
        title="Make the Model that was live before live again"
      />
    </div>
  );
}

import type { JSX } from 'react';
import { count, enumerated, interval } from '../format';
import { STATUS_TONES } from '../tones';
import type { EndpointSummary } from '../types';
import { Badge } from './Badge';
import { CopyButton } from './CopyButton';
import { EndpointActions } from './EndpointActions';
import { type Fact, Facts } from './Facts';
import { ModelLink } from './ModelLink';
import { Phrase } from './Phrase';
import { Time } from './Time';

/** How an endpoint is, on two lines, and what can be done to it. */
export function EndpointHeader({ endpoint }: { endpoint: EndpointSummary }): JSX.Element {
  const { accuracy, drifted_columns: drifted, url } = endpoint;
  const facts: Fact[] = [
    [
      'URL',
      url ? (
        <>
          <code>{url}</code> <CopyButton text={url} what="the URL" />
        </>
      ) : (
        'none'
      )
    ],
    ['Backend', endpoint.backend],
    ['Live', <ModelLink key="live" tag={endpoint.live} />],
    ['Shadow', <ModelLink key="shadow" tag={endpoint.shadow} />],
    ['Predictions', count(endpoint.requests)],
    ['Outcomes', count(endpoint.outcomes)],
    ['Accuracy', accuracy ? interval(accuracy) : 'no outcomes yet'],
    ['Drifted now', drifted.length > 0 ? enumerated(drifted) : 'no column'],
    ['Changed', <Time key="changed" iso={endpoint.updated} />]
  ];
  return (
    <header className="taxiway-header">
      <div className="taxiway-headline">
        <h1>{endpoint.name}</h1>
        <Badge tone={STATUS_TONES[endpoint.status]} text={endpoint.status.toLowerCase()} />
        <span className="taxiway-grow" />
        <EndpointActions endpoint={endpoint} />
      </div>
      {endpoint.reason ? (
        <p className="taxiway-note">
          <Phrase text={endpoint.reason} />
        </p>
      ) : null}
      {endpoint.ahead ? (
        <p className="taxiway-note">
          <Badge tone="warn" text="wrong time" /> {endpoint.ahead}
        </p>
      ) : null}
      {(endpoint.notes ?? []).map(note => (
        <p key={note} className="taxiway-note">
          <Phrase text={note} />
        </p>
      ))}
      <Facts facts={facts} />
    </header>
  );
}

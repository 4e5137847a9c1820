import type { JSX } from 'react';
import type { TimelineEvent } from '../types';
import { BoundedList } from './BoundedList';
import { EmptyState } from './EmptyState';
import { Phrase } from './Phrase';
import { Time } from './Time';

/** What was live when, and why; the newest first. */
export function Timeline({ events }: { events: readonly TimelineEvent[] }): JSX.Element {
  if (events.length === 0) {
    return <EmptyState>Nothing has happened yet.</EmptyState>;
  }
  return (
    <div className="taxiway-timeline">
      <BoundedList
        items={[...events].reverse()}
        limit={15}
        render={event => (
          <li key={`${event.time} ${event.event} ${event.text}`}>
            <Time iso={event.time} />
            <span>
              <strong>{event.event}</strong> <Phrase text={event.text} />{' '}
              <span className="taxiway-note">{event.actor}</span>
            </span>
          </li>
        )}
      />
    </div>
  );
}

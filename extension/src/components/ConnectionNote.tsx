import { Button } from '@jupyterlab/ui-components';
import type { JSX } from 'react';
import { localTime } from '../format';
import { useOverview } from '../hooks/useOverview';
import { useServices } from '../services';
import { FailureNote } from './FailureNote';

/** Says that what is shown may be old, and why; nothing while all is well. */
export function ConnectionNote(): JSX.Element | null {
  const { store } = useServices();
  const { connection, failure, received } = useOverview(store);
  if (connection !== 'lost') {
    return failure ? <FailureNote failure={failure} /> : null;
  }
  return (
    <div className="taxiway-failure" role="alert">
      <p>
        <strong>Connection lost.</strong> {failure?.error} {failure?.hint}
      </p>
      <p>
        {received ? `What is shown is from ${localTime(received.toISOString())}. ` : ''}Trying again by
        itself.
      </p>
      <Button
        small
        onClick={() => {
          store.reconnect();
        }}
      >
        Try Now
      </Button>
    </div>
  );
}

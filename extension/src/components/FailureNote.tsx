import { Button } from '@jupyterlab/ui-components';
import type { JSX } from 'react';
import type { Failure } from '../types';
import { Phrase } from './Phrase';

interface Props {
  failure: Failure;
  retry?: () => void;
}

/** What went wrong and what to do, in two sentences. */
export function FailureNote({ failure, retry }: Props): JSX.Element {
  return (
    <div className="taxiway-failure" role="alert">
      <p>
        <strong>
          <Phrase text={failure.error} />
        </strong>
      </p>
      {failure.hint ? (
        <p>
          <Phrase text={failure.hint} />
        </p>
      ) : null}
      {retry ? (
        <Button small onClick={retry}>
          Try Again
        </Button>
      ) : null}
    </div>
  );
}

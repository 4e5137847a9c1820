import { Button } from '@jupyterlab/ui-components';
import type { JSX } from 'react';
import { usePreflight } from '../hooks/usePreflight';
import { isBusy, merged, progressText } from '../preflight';
import { useServices } from '../services';
import type { Check } from '../types';
import { Card } from './Card';
import { FailureNote } from './FailureNote';
import { Phrase } from './Phrase';
import { PreflightTable } from './PreflightTable';

interface Props {
  tag: string;
  /** The checks on record. */
  checks: readonly Check[];
  /** Called when a preflight has ended. */
  reload: () => void;
}

/** The checks of a Model, and the button that makes them again. */
export function PreflightCard({ tag, checks, reload }: Props): JSX.Element {
  const { api } = useServices();
  const { run, failure, start, cancel } = usePreflight(api, tag, reload);
  const busy = isBusy(run);
  return (
    <Card title="Preflight" note="the Bento is replayed in a fresh environment">
      <div className="taxiway-preflight">
        {busy ? (
          <Button
            small
            disabled={run?.state === 'cancelling'}
            title="End this preflight; the checks on record stay"
            onClick={cancel}
          >
            Cancel
          </Button>
        ) : (
          <Button small title={`Check ${tag} again, with its replay in a fresh environment`} onClick={start}>
            Run Preflight
          </Button>
        )}
        <span className="taxiway-grow" role="status">
          <Phrase text={progressText(run)} />
        </span>
        {busy ? <progress aria-label="Preflight in progress" /> : null}
      </div>
      {run?.state === 'failed' ? (
        <FailureNote failure={{ error: run.error ?? 'The preflight failed.', hint: run.hint ?? '' }} />
      ) : null}
      {failure ? <FailureNote failure={failure} /> : null}
      <PreflightTable checks={merged(checks, run)} />
    </Card>
  );
}

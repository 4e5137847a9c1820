import { useCallback, useEffect, useState } from 'react';
import { type Api, describe } from '../api';
import { backoffMs } from '../backoff';
import { isBusy } from '../preflight';
import type { Failure, PreflightRun } from '../types';

/** While a preflight runs, it is asked so often how far it is. */
const POLL_MS = 400;

export interface Preflight {
  run: PreflightRun | null;
  /** Why the server could not be asked. */
  failure: Failure | null;
  start: () => void;
  cancel: () => void;
}

/**
 * The preflight of one Model: started, followed and cancelled; one that runs already is joined.
 *
 * @param done - called when one has ended
 */
export function usePreflight(api: Api, tag: string, done: () => void): Preflight {
  const [run, setRun] = useState<PreflightRun | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [failures, setFailures] = useState(0);
  const busy = isBusy(run);

  const hear = useCallback((told: PreflightRun) => {
    setRun(told);
    setFailure(null);
    setFailures(0);
  }, []);
  const fail = useCallback((error: unknown) => {
    setFailure(describe(error));
    setFailures(previous => previous + 1);
  }, []);

  useEffect(() => {
    let current = true;
    api.preflight(tag).then(
      told => {
        // one that ended before this view was opened is told by the table
        if (current && isBusy(told)) {
          setRun(told);
        }
      },
      () => {
        // The Model's own loading says what is wrong.
      }
    );
    return () => {
      current = false;
    };
  }, [api, tag]);

  useEffect(() => {
    if (!busy) {
      return;
    }
    let current = true;
    const timer = setTimeout(
      () => {
        api.preflight(tag).then(
          told => {
            if (current) {
              hear(told);
              if (!isBusy(told)) {
                done();
              }
            }
          },
          (error: unknown) => {
            if (current) {
              fail(error);
            }
          }
        );
      },
      failures > 0 ? backoffMs(failures, Math.random()) : POLL_MS
    );
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [api, tag, run, busy, failures, hear, fail, done]);

  const start = useCallback(() => {
    api.startPreflight(tag).then(hear, fail);
  }, [api, tag, hear, fail]);
  const cancel = useCallback(() => {
    setRun(previous => previous && { ...previous, state: 'cancelling' });
    api.cancelPreflight(tag).then(hear, fail);
  }, [api, tag, hear, fail]);
  return { run, failure, start, cancel };
}

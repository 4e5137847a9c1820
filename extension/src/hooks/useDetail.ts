import { useCallback, useEffect, useState } from 'react';
import { describe } from '../api';
import type { Failure } from '../types';

export interface Detail<T> {
  /** The newest answer; kept while another one is awaited, and if that fails. */
  value: T | null;
  /** Why the last request failed; of another `load` it tells nothing. */
  failure: Failure | null;
  reload: () => void;
}

/**
 * Something the server is asked for, and asked again when `version` changes.
 *
 * @param load - must be stable (`useCallback`)
 * @param version - any text that differs when the answer may differ
 * @param initial - what is known before the first answer
 */
export function useDetail<T>(load: () => Promise<T>, version: string, initial: T | null = null): Detail<T> {
  const [value, setValue] = useState<T | null>(initial);
  const [failed, setFailed] = useState<{ load: () => Promise<T>; failure: Failure } | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let current = true;
    load().then(
      answer => {
        if (current) {
          setValue(answer);
          setFailed(null);
        }
      },
      (error: unknown) => {
        if (current) {
          setFailed({ load, failure: describe(error) });
        }
      }
    );
    return () => {
      current = false;
    };
  }, [load, version, attempt]);
  const reload = useCallback(() => {
    setAttempt(previous => previous + 1);
  }, []);
  return { value, failure: failed?.load === load ? failed.failure : null, reload };
}

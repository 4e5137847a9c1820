import { useCallback, useEffect, useState } from 'react';
import { describe } from '../api';
import type { Failure } from '../types';

export interface Detail<T> {
  /** The newest answer; kept, if old, while a later request fails. */
  value: T | null;
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
  const [failure, setFailure] = useState<Failure | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let current = true;
    load().then(
      answer => {
        if (current) {
          setValue(answer);
          setFailure(null);
        }
      },
      (error: unknown) => {
        if (current) {
          setFailure(describe(error));
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
  return { value, failure, reload };
}

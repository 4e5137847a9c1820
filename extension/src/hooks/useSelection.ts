import { useCallback, useSyncExternalStore } from 'react';
import type { Selection, Selections } from '../selections';

/** Which column of an endpoint is looked at. */
export function useSelection(selections: Selections, endpoint: string): Selection | null {
  const subscribe = useCallback(
    (notify: () => void) => {
      selections.changed.connect(notify);
      return () => {
        selections.changed.disconnect(notify);
      };
    },
    [selections]
  );
  return useSyncExternalStore(subscribe, () => selections.of(endpoint));
}

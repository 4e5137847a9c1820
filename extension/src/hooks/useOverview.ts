import { useCallback, useSyncExternalStore } from 'react';
import type { OverviewState, OverviewStore } from '../overview';

/** The live overview; the component is drawn again when it changes. */
export function useOverview(store: OverviewStore): OverviewState {
  const subscribe = useCallback(
    (notify: () => void) => {
      store.changed.connect(notify);
      return () => {
        store.changed.disconnect(notify);
      };
    },
    [store]
  );
  return useSyncExternalStore(subscribe, () => store.state);
}

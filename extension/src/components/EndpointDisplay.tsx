import { type JSX, useCallback } from 'react';
import { CommandIds } from '../commandIds';
import { useDetail } from '../hooks/useDetail';
import { useOverview } from '../hooks/useOverview';
import { useServices } from '../services';
import type { EndpointDetail } from '../types';
import { endpointVersion } from '../versions';
import { AlertItem } from './AlertItem';
import { BoundedList } from './BoundedList';
import { CommandButton } from './CommandButton';
import { DriftHeatMap } from './DriftHeatMap';
import { EndpointHeader } from './EndpointHeader';
import { FailureNote } from './FailureNote';
import { PerformanceChart } from './PerformanceChart';

/** An endpoint in a notebook's output: what was recorded, then what the server says now. */
export function EndpointDisplay({ recorded }: { recorded: EndpointDetail }): JSX.Element {
  const { api, store, commands } = useServices();
  const { name } = recorded;
  const { overview } = useOverview(store);
  const load = useCallback(() => api.endpoint(name), [api, name]);
  const { value, failure } = useDetail(load, endpointVersion(overview, name), recorded);
  const endpoint = value ?? recorded;
  const firing = endpoint.alerts.filter(alert => alert.state === 'firing');
  return (
    <>
      {failure ? (
        <FailureNote failure={{ ...failure, error: `As it was when the cell ran. ${failure.error}` }} />
      ) : null}
      <EndpointHeader endpoint={endpoint} />
      <BoundedList
        items={firing}
        limit={3}
        render={alert => <AlertItem key={alert.id} alert={alert} here />}
      />
      {endpoint.windows.length > 0 ? (
        <>
          <DriftHeatMap
            endpoint={endpoint}
            chosen={null}
            select={selection => {
              void commands.execute(CommandIds.openEndpoint, { name, ...selection });
            }}
          />
          <PerformanceChart endpoint={endpoint} />
        </>
      ) : null}
      <CommandButton
        command={CommandIds.openEndpoint}
        args={{ name }}
        text="Open"
        title={`Open endpoint ${name} in a tab of its own`}
      />
    </>
  );
}

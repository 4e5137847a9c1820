import { type JSX, useCallback, useEffect } from 'react';
import { useDetail } from '../hooks/useDetail';
import { useOverview } from '../hooks/useOverview';
import { useSelection } from '../hooks/useSelection';
import { useServices } from '../services';
import { endpointVersion } from '../versions';
import { AlertItem } from './AlertItem';
import { BoundedList } from './BoundedList';
import { Card } from './Card';
import { ColumnList } from './ColumnList';
import { ColumnPanel } from './ColumnPanel';
import { ConnectionNote } from './ConnectionNote';
import { DriftHeatMap } from './DriftHeatMap';
import { EmptyState } from './EmptyState';
import { EndpointHeader } from './EndpointHeader';
import { FailureNote } from './FailureNote';
import { PerformanceChart } from './PerformanceChart';
import { QualityTable } from './QualityTable';
import { RunItem } from './RunItem';
import { SchemaTable } from './SchemaTable';
import { ShadowCard } from './ShadowCard';
import { SliceTable } from './SliceTable';
import { Timeline } from './Timeline';

/** One endpoint: how it is, how its data drifts, how well it predicts, and what happened to it. */
export function EndpointView({ name }: { name: string }): JSX.Element {
  const { api, store, selections } = useServices();
  const selection = useSelection(selections, name);
  const { overview } = useOverview(store);
  const load = useCallback(() => api.endpoint(name), [api, name]);
  const { value: endpoint, failure, reload } = useDetail(load, endpointVersion(overview, name));
  useEffect(() => {
    // What reads profiles takes seconds to start: not only when a cell is clicked.
    api.prepareProfiles().catch(() => undefined);
  }, [api]);
  return (
    <div className="taxiway-view" tabIndex={0}>
      <ConnectionNote />
      {failure ? <FailureNote failure={failure} retry={reload} /> : null}
      {endpoint ? (
        <>
          <EndpointHeader endpoint={endpoint} />
          {endpoint.alerts.length > 0 ? (
            <Card title="Alerts">
              <BoundedList
                items={endpoint.alerts}
                limit={5}
                render={alert => <AlertItem key={alert.id} alert={alert} here />}
              />
            </Card>
          ) : null}
          {endpoint.shadow ? (
            <ShadowCard shadow={endpoint.shadow} live={endpoint.live} report={endpoint.shadow_report} />
          ) : null}
          <Card
            title="Drift per column"
            note={`by ${endpoint.window}, against the reference, UTC; a dot: drifted; click a cell`}
          >
            <DriftHeatMap
              endpoint={endpoint}
              chosen={selection}
              select={chosen => {
                selections.select(name, chosen);
              }}
            />
            {selection ? <ColumnPanel endpoint={endpoint} selection={selection} /> : null}
            <ColumnList endpoint={endpoint} />
          </Card>
          <Card title="Performance" note={`by ${endpoint.window}, with 95% intervals, UTC`}>
            <PerformanceChart endpoint={endpoint} />
            {endpoint.slices ? <SliceTable slices={endpoint.slices} unit={endpoint.window} /> : null}
          </Card>
          <Card title="Schema changes" note="as requests were, against the signature">
            <SchemaTable changes={endpoint.schema} />
          </Card>
          {endpoint.quality && endpoint.quality.length > 0 ? (
            <Card title="Changes of the data’s shape" note="as the windows’ profiles tell, the newest first">
              <QualityTable findings={endpoint.quality} unit={endpoint.window} />
            </Card>
          ) : null}
          <Card title="Runs">
            {endpoint.runs.length === 0 ? (
              <EmptyState code={'endpoint.retrain_on_drift("train.ipynb")'}>
                No retraining run yet. Retrain when it drifts:
              </EmptyState>
            ) : (
              <BoundedList
                items={endpoint.runs}
                limit={5}
                render={run => <RunItem key={run.id} run={run} />}
              />
            )}
          </Card>
          <Card title="Timeline">
            <Timeline events={endpoint.timeline} />
          </Card>
        </>
      ) : failure ? null : (
        <p className="taxiway-loading" role="status">
          Loading {name}…
        </p>
      )}
    </div>
  );
}

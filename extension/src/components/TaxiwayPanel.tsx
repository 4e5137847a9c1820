import type { JSX } from 'react';
import { useOverview } from '../hooks/useOverview';
import { useServices } from '../services';
import { AgentHeader } from './AgentHeader';
import { AlertItem } from './AlertItem';
import { BoundedList } from './BoundedList';
import { ConnectionNote } from './ConnectionNote';
import { EmptyState } from './EmptyState';
import { EndpointItem } from './EndpointItem';
import { ModelItem } from './ModelItem';
import { RunItem } from './RunItem';
import { Section } from './Section';

const PACKAGE = `import taxiway
model = taxiway.package(
    pipeline, name="rain",
    reference=X_train, target=y_train)`;
const DEPLOY = `endpoint = taxiway.deploy(
    model, to="local", endpoint="rain")`;
const RETRAIN = `endpoint.retrain_on_drift("train.ipynb")`;
const LIMIT = 10;

/** The left panel: what there is and how it is, live. */
export function TaxiwayPanel(): JSX.Element {
  const { store } = useServices();
  const { overview, connection } = useOverview(store);
  if (!overview) {
    return (
      <div className="taxiway-panel">
        <ConnectionNote />
        {connection === 'connecting' ? <p className="taxiway-loading">Connecting…</p> : null}
      </div>
    );
  }
  const { models, endpoints, alerts, runs } = overview;
  return (
    <div className="taxiway-panel">
      <ConnectionNote />
      <AgentHeader agent={overview.agent} />
      <Section title="Endpoints" total={endpoints.length}>
        {endpoints.length === 0 ? (
          <EmptyState code={DEPLOY}>No endpoint yet. Put a Model into production:</EmptyState>
        ) : (
          <BoundedList
            items={endpoints}
            limit={LIMIT}
            render={endpoint => <EndpointItem key={endpoint.name} endpoint={endpoint} />}
          />
        )}
      </Section>
      <Section
        title="Alerts"
        total={alerts.length}
        urgent={alerts.filter(alert => alert.state === 'firing').length}
      >
        {alerts.length === 0 ? (
          <EmptyState>No alert. Drift, schema changes and losses of accuracy show up here.</EmptyState>
        ) : (
          <BoundedList
            items={alerts}
            limit={LIMIT}
            render={alert => <AlertItem key={alert.id} alert={alert} />}
          />
        )}
      </Section>
      <Section title="Models" total={models.length}>
        {models.length === 0 ? (
          <EmptyState code={PACKAGE}>
            No Model yet. Press “Package model” in a notebook’s toolbar, or run:
          </EmptyState>
        ) : (
          <BoundedList
            items={models}
            limit={LIMIT}
            render={model => <ModelItem key={model.tag} model={model} />}
          />
        )}
      </Section>
      <Section title="Runs" total={runs.length}>
        {runs.length === 0 ? (
          <EmptyState code={RETRAIN}>No retraining run yet. Retrain an endpoint when it drifts:</EmptyState>
        ) : (
          <BoundedList items={runs} limit={LIMIT} render={run => <RunItem key={run.id} run={run} />} />
        )}
      </Section>
    </div>
  );
}

import { type JSX, useCallback } from 'react';
import { useDetail } from '../hooks/useDetail';
import { useOverview } from '../hooks/useOverview';
import { useServices } from '../services';
import { modelVersion } from '../versions';
import { Card } from './Card';
import { ConnectionNote } from './ConnectionNote';
import { FailureNote } from './FailureNote';
import { JsonTable } from './JsonTable';
import { ModelHeader } from './ModelHeader';
import { PreflightCard } from './PreflightCard';
import { SignatureTable } from './SignatureTable';

/** One Model: what it takes and gives, what it has passed, and where it comes from. */
export function ModelView({ tag }: { tag: string }): JSX.Element {
  const { api, store } = useServices();
  const { overview } = useOverview(store);
  const load = useCallback(() => api.model(tag), [api, tag]);
  const { value: model, failure, reload } = useDetail(load, modelVersion(overview, tag));
  return (
    <div className="taxiway-view" tabIndex={0}>
      <ConnectionNote />
      {failure ? <FailureNote failure={failure} retry={reload} /> : null}
      {model ? (
        <>
          <ModelHeader model={model} />
          <PreflightCard tag={tag} checks={model.preflight.checks} reload={reload} />
          <Card title="Signature">
            <SignatureTable signature={model.signature} />
          </Card>
          <Card title="Parity" note="the exported model against the original">
            <JsonTable label="Parity" value={model.parity} />
          </Card>
          <Card title="Lineage">
            <JsonTable label="Lineage" value={model.lineage} />
          </Card>
          <Card title="Environment">
            <JsonTable label="Environment" value={model.environment} />
          </Card>
        </>
      ) : failure ? null : (
        <p className="taxiway-loading">Loading {tag}…</p>
      )}
    </div>
  );
}

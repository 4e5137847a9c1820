import { type JSX, useCallback } from 'react';
import { CommandIds } from '../commandIds';
import { useDetail } from '../hooks/useDetail';
import { useOverview } from '../hooks/useOverview';
import { useServices } from '../services';
import type { ModelDetail } from '../types';
import { modelVersion } from '../versions';
import { CommandButton } from './CommandButton';
import { FailureNote } from './FailureNote';
import { ModelHeader } from './ModelHeader';
import { PreflightTable } from './PreflightTable';
import { SignatureTable } from './SignatureTable';

/** A Model in a notebook's output: what was recorded, then where it is in use now. */
export function ModelDisplay({ recorded }: { recorded: ModelDetail }): JSX.Element {
  const { api, store } = useServices();
  const { tag } = recorded;
  const { overview } = useOverview(store);
  const load = useCallback(() => api.model(tag), [api, tag]);
  const { value, failure } = useDetail(load, modelVersion(overview, tag), recorded);
  const model = value ?? recorded;
  return (
    <>
      {failure ? (
        <FailureNote failure={{ ...failure, error: `As it was when the cell ran. ${failure.error}` }} />
      ) : null}
      <ModelHeader model={model} />
      <PreflightTable checks={model.preflight.checks} />
      <SignatureTable signature={model.signature} />
      <CommandButton
        command={CommandIds.openModel}
        args={{ tag }}
        text="Open"
        title={`Open Model ${tag} in a tab of its own`}
      />
    </>
  );
}

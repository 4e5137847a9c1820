import type { JSX } from 'react';
import { basename, duration } from '../format';
import { RUN_TONES } from '../tones';
import type { Run } from '../types';
import { Badge } from './Badge';
import { ModelLink } from './ModelLink';
import { Phrase } from './Phrase';
import { Time } from './Time';

/** One execution of a retraining notebook. */
export function RunItem({ run }: { run: Run }): JSX.Element {
  return (
    <li className="taxiway-item taxiway-still">
      <span className="taxiway-item-title">
        <span className="taxiway-name" title={run.notebook}>
          {basename(run.notebook)}
        </span>
        <Badge tone={RUN_TONES[run.state]} text={run.state} />
      </span>
      {run.progress && run.state === 'running' ? (
        <progress
          max={run.progress.cells}
          value={run.progress.cell}
          aria-label={`Cell ${run.progress.cell} of ${run.progress.cells}`}
        />
      ) : null}
      <span className="taxiway-item-note">
        <span>
          <Phrase text={run.trigger} />
        </span>
        <Time iso={run.started} />
        {run.started && run.ended ? (
          <span>{duration(Date.parse(run.ended) - Date.parse(run.started))}</span>
        ) : null}
      </span>
      {run.model ? (
        <span className="taxiway-item-note">
          packaged <ModelLink tag={run.model} />
        </span>
      ) : null}
      {run.error ? <span className="taxiway-error taxiway-wrap">{run.error}</span> : null}
    </li>
  );
}

import { Button } from '@jupyterlab/ui-components';
import { type JSX, useCallback, useEffect, useRef } from 'react';
import { counted, windowLabel, windowPlace } from '../format';
import { useDetail } from '../hooks/useDetail';
import type { Names } from '../profiles/charts';
import type { Selection } from '../selections';
import { useServices } from '../services';
import type { EndpointDetail } from '../types';
import { DistributionFigure } from './DistributionFigure';
import { DriftFacts } from './DriftFacts';
import { FailureNote } from './FailureNote';
import { HistoryFigure } from './HistoryFigure';
import { ModelLink } from './ModelLink';
import { SummaryTable } from './SummaryTable';

interface Props {
  endpoint: EndpointDetail;
  selection: Selection;
}

/** One column in one window over the reference, and the way to the windows beside it. */
export function ColumnPanel({ endpoint, selection }: Props): JSX.Element {
  const { api, selections } = useServices();
  const { column, window, model } = selection;
  const { name, window: unit } = endpoint;
  const heading = useRef<HTMLHeadingElement>(null);
  const section = useRef<HTMLElement>(null);
  const load = useCallback(() => api.column(name, column, window, model), [api, name, column, window, model]);
  const rows = endpoint.windows.find(one => one.start === window)?.rows ?? 0;
  const { value, failure, reload } = useDetail(load, String(rows));
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
    section.current?.scrollIntoView({ block: 'nearest' });
  }, [column]);
  const starts = [
    ...new Set(endpoint.windows.filter(one => one.role === 'live').map(one => one.start))
  ].sort();
  const index = starts.indexOf(window);
  const select = (start: string | undefined, of: string | null): void => {
    if (start !== undefined) {
      selections.select(name, { column, window: start, model: of });
    }
  };
  const fits = value?.column === column && value.window === window ? value : null;
  const label = windowLabel(window, unit);
  const names: Names = { reference: 'reference', window: label };
  return (
    <section
      ref={section}
      className="taxiway-column"
      aria-label={`Column ${column}`}
      aria-busy={!fits && !failure}
    >
      <div className="taxiway-headline">
        <h3 tabIndex={-1} ref={heading}>
          <code>{column}</code> {windowPlace(window, unit)}
        </h3>
        <span className="taxiway-grow" />
        <div className="taxiway-actions" role="group" aria-label="Windows">
          <Button
            small
            disabled={index <= 0}
            title="The window before"
            onClick={() => {
              select(starts[index - 1], null);
            }}
          >
            ← Earlier
          </Button>
          <Button
            small
            disabled={index < 0 || index === starts.length - 1}
            title="The window after"
            onClick={() => {
              select(starts[index + 1], null);
            }}
          >
            Later →
          </Button>
          <Button
            small
            title="Show no column"
            onClick={() => {
              selections.select(name, null);
            }}
          >
            Close
          </Button>
        </div>
      </div>
      {failure ? <FailureNote failure={failure} retry={reload} /> : null}
      {fits ? (
        <>
          <p className="taxiway-note">
            {counted(fits.rows, 'row')} of <ModelLink tag={fits.model} />
          </p>
          {fits.drift ? <DriftFacts drift={fits.drift} /> : null}
          <div className="taxiway-pair">
            <DistributionFigure column={column} distribution={fits.distribution} names={names} />
            <SummaryTable names={names} reference={fits.reference} window={fits.present} />
          </div>
        </>
      ) : failure ? null : (
        <p className="taxiway-note taxiway-waiting" role="status">
          Reading the profile…
        </p>
      )}
      {value?.column === column ? (
        <HistoryFigure
          key={column}
          endpoint={endpoint}
          selection={selection}
          temporal={value.distribution.kind === 'datetime'}
          select={select}
        />
      ) : null}
    </section>
  );
}

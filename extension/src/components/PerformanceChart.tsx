import { type JSX, useMemo } from 'react';
import { recentWindows } from '../charts';
import {
  changeMarks,
  coverageSpec,
  metricOf,
  type ScorePoint,
  scores,
  scoreSpec
} from '../performanceCharts';
import { count, sentence, windowLabel } from '../format';
import { useChartColors } from '../hooks/useChartColors';
import { useServices } from '../services';
import type { EndpointDetail } from '../types';
import { Badge } from './Badge';
import { DataTable, type TableColumn } from './DataTable';
import { EmptyState } from './EmptyState';
import { Figure } from './Figure';
import { Phrase } from './Phrase';
import { VegaChart } from './VegaChart';

const COLUMNS: readonly TableColumn<ScorePoint>[] = [
  { title: 'Window', cell: point => point.window },
  { title: 'From', cell: point => point.series },
  { title: 'Model', cell: point => point.model },
  { title: 'Score', cell: point => point.valueText, numeric: true },
  { title: '95% interval', cell: point => point.intervalText, numeric: true },
  { title: 'Outcomes', cell: point => count(point.n), numeric: true },
  { title: 'Coverage', cell: point => point.coverageText, numeric: true }
];

/** The score of each window from the outcomes, with its interval, and how much of it is labelled. */
export function PerformanceChart({ endpoint }: { endpoint: EndpointDetail }): JSX.Element {
  const { windows, window: unit } = endpoint;
  const colors = useChartColors(useServices().themes);
  const points = useMemo(() => scores(windows, unit), [windows, unit]);
  const metric = metricOf(windows) ?? 'score';
  const marks = useMemo(
    () => changeMarks(endpoint.concept, windows, unit),
    [endpoint.concept, windows, unit]
  );
  if (points.length === 0) {
    return (
      <EmptyState code={'endpoint.outcomes(ids, outcomes)'}>
        No outcome yet. Send the truth of past predictions, and their accuracy shows up here:
      </EmptyState>
    );
  }
  const labels = [...new Set(recentWindows(windows).map(window => windowLabel(window.start, unit)))];
  const last = points.at(-1);
  const measured = points.some(point => point.series !== 'estimated');
  const changes = marks.map(mark => `${mark.place}: ${mark.text}`);
  return (
    <>
      {endpoint.concept?.text ? (
        <p>
          {endpoint.concept.drifted ? <Badge tone="bad" text="errors changed" /> : null}{' '}
          <Phrase text={sentence(endpoint.concept.text)} />
        </p>
      ) : null}
      {changes.length > 0 ? (
        <p className="taxiway-note">{`The errors changed ${changes.join('; ')}.`}</p>
      ) : null}
      {measured ? null : (
        <p className="taxiway-note">
          {`No outcome yet: this is what ${metric} is likely to be, from the predictions alone.`}
        </p>
      )}
      <Figure
        chart={
          <>
            <VegaChart
              spec={scoreSpec(points, labels, metric, marks, colors)}
              label={`Line of ${metric} per window with its 95% interval; last ${last?.valueText ?? 'unknown'} in ${last?.window ?? ''}`}
            />
            {measured ? (
              <VegaChart
                spec={coverageSpec(points, labels, colors)}
                label={`Bars of the share with an outcome per window; last ${
                  points.findLast(point => point.series === 'live')?.coverageText ?? 'unknown'
                }`}
              />
            ) : null}
          </>
        }
        table={<DataTable label="Performance per window" columns={COLUMNS} rows={[...points].reverse()} />}
      />
    </>
  );
}

import { type JSX, useMemo } from 'react';
import { coverageSpec, recentWindows, type ScorePoint, scores, scoreSpec } from '../charts';
import { count, windowLabel } from '../format';
import { useChartColors } from '../hooks/useChartColors';
import { useServices } from '../services';
import type { EndpointDetail } from '../types';
import { DataTable, type TableColumn } from './DataTable';
import { EmptyState } from './EmptyState';
import { Figure } from './Figure';
import { VegaChart } from './VegaChart';

const COLUMNS: readonly TableColumn<ScorePoint>[] = [
  { title: 'Window', cell: point => point.window },
  { title: 'Role', cell: point => point.series },
  { title: 'Model', cell: point => point.model },
  { title: 'Score', cell: point => point.valueText, numeric: true },
  { title: '95 % interval', cell: point => point.intervalText, numeric: true },
  { title: 'Outcomes', cell: point => count(point.n), numeric: true },
  { title: 'Coverage', cell: point => point.coverageText, numeric: true }
];

/** The score of each window from the outcomes, with its interval, and how much of it is labelled. */
export function PerformanceChart({ endpoint }: { endpoint: EndpointDetail }): JSX.Element {
  const { windows, window: unit } = endpoint;
  const colors = useChartColors(useServices().themes);
  const points = useMemo(() => scores(windows, unit), [windows, unit]);
  const metric = windows.find(window => window.performance)?.performance?.metric ?? 'score';
  if (points.length === 0) {
    return (
      <EmptyState code={'endpoint.outcomes(ids, outcomes)'}>
        No outcome yet. Send the truth of past predictions, and their accuracy shows up here:
      </EmptyState>
    );
  }
  const labels = [...new Set(recentWindows(windows).map(window => windowLabel(window.start, unit)))];
  const last = points.at(-1);
  return (
    <Figure
      chart={
        <>
          <VegaChart
            spec={scoreSpec(points, labels, metric, colors)}
            label={`Line of ${metric} per window with its 95 % interval; last ${last?.valueText ?? 'unknown'} in ${last?.window ?? ''}`}
          />
          <VegaChart
            spec={coverageSpec(points, labels, colors)}
            label={`Bars of the labelled share per window; last ${last?.coverageText ?? 'unknown'}`}
          />
        </>
      }
      table={<DataTable label="Performance per window" columns={COLUMNS} rows={[...points].reverse()} />}
    />
  );
}

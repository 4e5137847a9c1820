import { type JSX, useMemo } from 'react';
import { type HeatCell, heatMap, heatMapSpec, MAX_COLUMNS } from '../charts';
import { count } from '../format';
import { useChartColors } from '../hooks/useChartColors';
import { useServices } from '../services';
import type { EndpointDetail } from '../types';
import { DataTable, type TableColumn } from './DataTable';
import { EmptyState } from './EmptyState';
import { Figure } from './Figure';
import { VegaChart } from './VegaChart';

const COLUMNS: readonly TableColumn<HeatCell>[] = [
  { title: 'Window', cell: cell => cell.window },
  { title: 'Column', cell: cell => cell.column },
  { title: 'PSI', cell: cell => cell.psiText, numeric: true },
  { title: 'p value', cell: cell => cell.pText, numeric: true },
  { title: 'Drifted', cell: cell => (cell.drifted ? 'yes' : 'no') }
];

/** Drift per column over time. */
export function DriftHeatMap({ endpoint }: { endpoint: EndpointDetail }): JSX.Element {
  const colors = useChartColors(useServices().themes);
  const map = useMemo(() => heatMap(endpoint.windows, endpoint.window), [endpoint.windows, endpoint.window]);
  if (map.cells.length === 0) {
    return (
      <EmptyState>
        No window has been compared with the reference yet. The first follows the first predictions.
      </EmptyState>
    );
  }
  const drifted = new Set(map.cells.filter(cell => cell.drifted).map(cell => cell.column));
  const summary =
    drifted.size === 0 ? 'no column has drifted' : `drifted at some time: ${[...drifted].join(', ')}`;
  return (
    <>
      {map.total > map.columns.length ? (
        <p className="taxiway-note">
          {`The ${MAX_COLUMNS} most drifted of ${count(map.total)} columns are shown.`}
        </p>
      ) : null}
      <Figure
        chart={
          <VegaChart
            spec={heatMapSpec(map, colors)}
            label={`Heat map of drift, ${map.columns.length} columns by ${map.windows.length} windows; ${summary}`}
          />
        }
        table={
          <DataTable label="Drift per column and window" columns={COLUMNS} rows={[...map.cells].reverse()} />
        }
      />
    </>
  );
}

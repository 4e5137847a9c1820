import { type JSX, useMemo } from 'react';
import { type HeatCell, heatMap, heatMapSpec, TOGETHER } from '../charts';
import { count } from '../format';
import { useChartColors } from '../hooks/useChartColors';
import type { Selection } from '../selections';
import { useServices } from '../services';
import type { EndpointDetail } from '../types';
import { DataTable, type TableColumn } from './DataTable';
import { EmptyState } from './EmptyState';
import { Figure } from './Figure';
import { VegaChart } from './VegaChart';

const COLUMNS: readonly TableColumn<HeatCell>[] = [
  { title: 'Window', cell: cell => <time dateTime={cell.start}>{cell.window}</time> },
  { title: 'Column', cell: cell => cell.column },
  { title: 'PSI', cell: cell => cell.psiText, numeric: true },
  { title: 'p value', cell: cell => cell.pText, numeric: true },
  { title: 'Drifted', cell: cell => cell.driftedText }
];

interface Props {
  endpoint: EndpointDetail;
  /** The cell whose distribution is shown. */
  chosen: Selection | null;
  /** Shows a column in a window. */
  select: (selection: Selection) => void;
}

/** Drift per column over time; a cell opens its distribution. */
export function DriftHeatMap({ endpoint, chosen, select }: Props): JSX.Element {
  const colors = useChartColors(useServices().themes);
  const map = useMemo(() => heatMap(endpoint.windows, endpoint.window), [endpoint.windows, endpoint.window]);
  if (map.cells.length === 0) {
    return (
      <EmptyState>
        No window has been compared with the reference yet. The first follows the first predictions.
      </EmptyState>
    );
  }
  const labels = new Map(map.cells.map(cell => [`${cell.column}\n${cell.window}`, cell]));
  const cells = map.columns
    .filter(column => column !== TOGETHER)
    .map(column => map.windows.map(window => labels.get(`${column}\n${window}`)?.label ?? ''));
  const current = map.cells.find(cell => cell.column === chosen?.column && cell.start === chosen.window);
  const total = Math.max(map.total, endpoint.columns?.length ?? 0);
  const shown = map.columns.filter(column => column !== TOGETHER).length;
  const drifted = new Set(map.cells.filter(cell => cell.drifted).map(cell => cell.column));
  const summary =
    drifted.size === 0 ? 'no column has drifted' : `drifted at some time: ${[...drifted].join(', ')}`;
  const left = [
    ...(total > shown
      ? [`The ${shown} most drifted of ${count(total)} columns are shown; the list below has all.`]
      : []),
    ...(map.totalWindows > map.windows.length
      ? [`The newest ${map.windows.length} of ${count(map.totalWindows)} windows are shown.`]
      : [])
  ];
  return (
    <>
      {left.length > 0 ? <p className="taxiway-note">{left.join(' ')}</p> : null}
      <Figure
        chart={
          <VegaChart
            spec={heatMapSpec(map, chosen, colors)}
            label={`Heat map of drift, ${shown} columns by ${map.windows.length} windows; ${summary}`}
            cells={cells}
            current={current?.label ?? null}
            onSelect={description => {
              const cell = map.cells.find(one => one.label === description);
              if (cell && cell.column !== TOGETHER) {
                select({ column: cell.column, window: cell.start, model: cell.model });
              }
            }}
          />
        }
        table={
          <DataTable label="Drift per column and window" columns={COLUMNS} rows={[...map.cells].reverse()} />
        }
      />
    </>
  );
}

import type { JSX } from 'react';
import { count, gain, percent, pValue, significant, windowLabel } from '../format';
import { isShare } from '../performanceCharts';
import type { SlicePerformance, WindowSlices, WindowUnit } from '../types';
import { Badge } from './Badge';
import { DataTable, type TableColumn } from './DataTable';

/** How well the Model predicts for parts of the rows, and how far each is from the rest. */
export function SliceTable({ slices, unit }: { slices: WindowSlices; unit: WindowUnit }): JSX.Element {
  const { metric } = slices;
  const share = isShare(metric);
  const score = (value: number | null | undefined): string => (share ? percent(value) : significant(value));
  const columns: TableColumn<SlicePerformance>[] = [
    { title: 'Slice', cell: slice => slice.name, key: slice => slice.name },
    {
      title: metric,
      cell: slice => score(slice.metrics[metric]?.value),
      key: slice => slice.metrics[metric]?.value,
      numeric: true
    },
    {
      title: '95% interval',
      cell: slice => {
        const { low = null, high = null } = slice.metrics[metric] ?? {};
        return low === null || high === null ? '–' : `${score(low)} to ${score(high)}`;
      },
      numeric: true
    },
    {
      title: share ? 'Gap to the rest, points' : 'Gap to the rest',
      cell: slice => (slice.gap === null ? '–' : gain(slice.gap, share)),
      key: slice => slice.gap,
      numeric: true
    },
    { title: 'p value', cell: slice => pValue(slice.p_value), key: slice => slice.p_value, numeric: true },
    {
      title: 'Predictions',
      cell: slice => count(slice.n_predictions),
      key: slice => slice.n_predictions,
      numeric: true
    },
    {
      title: 'With outcome',
      cell: slice => percent(slice.coverage),
      key: slice => slice.coverage,
      numeric: true
    },
    { title: 'Worse', cell: slice => (slice.worse ? <Badge tone="bad" text="significantly" /> : 'no') }
  ];
  return (
    <>
      <h3>
        By slice <small>{windowLabel(slices.window, unit)}</small>
      </h3>
      <DataTable label="Performance by slice" columns={columns} rows={slices.slices} />
    </>
  );
}

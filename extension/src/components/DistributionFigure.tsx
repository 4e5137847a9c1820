import type { JSX } from 'react';
import { useChartColors } from '../hooks/useChartColors';
import { distributionSpec, type Names, type ShareBar, shareBars } from '../profiles/charts';
import type { Distribution } from '../profiles/types';
import { useServices } from '../services';
import { DataTable, type TableColumn } from './DataTable';
import { EmptyState } from './EmptyState';
import { Figure } from './Figure';
import { VegaChart } from './VegaChart';

const COLUMNS: readonly TableColumn<ShareBar>[] = [
  { title: 'Of', cell: bar => bar.side },
  { title: 'Values', cell: bar => (bar.mark ? `${bar.label} (${bar.mark})` : bar.label) },
  { title: 'Share', cell: bar => bar.shareText, numeric: true, key: bar => bar.share }
];

interface Props {
  column: string;
  distribution: Distribution;
  names: Names;
}

/** The distribution of a column, of one profile or of a window over its reference. */
export function DistributionFigure({ column, distribution, names }: Props): JSX.Element {
  const colors = useChartColors(useServices().themes);
  if (distribution.kind === 'none') {
    return <EmptyState>{distribution.text}</EmptyState>;
  }
  const bars = shareBars(distribution, names);
  const over = names.reference === '' ? '' : ` over ${names.reference}`;
  const fresh = distribution.categories.filter(one => one.new).map(one => one.value);
  const news = fresh.length > 0 ? `; new: ${fresh.join(', ')}` : '';
  return (
    <>
      {distribution.text ? <p className="taxiway-note">{distribution.text}</p> : null}
      <Figure
        chart={
          <VegaChart
            spec={distributionSpec(distribution, names, colors)}
            label={`Distribution of ${column}, ${names.window}${over}${news}`}
          />
        }
        table={<DataTable label={`Distribution of ${column}`} columns={COLUMNS} rows={bars} compact />}
      />
    </>
  );
}

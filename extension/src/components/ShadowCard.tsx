import type { JSX } from 'react';
import { isShare } from '../performanceCharts';
import { count, counted, duration, gain, percent, pValue, significant } from '../format';
import { verdictTone } from '../tones';
import type { PairedDifference, ShadowReport } from '../types';
import { Badge } from './Badge';
import { Card } from './Card';
import { DataTable, type TableColumn } from './DataTable';
import { EmptyState } from './EmptyState';
import { Facts } from './Facts';
import { ModelLink } from './ModelLink';
import { Phrase } from './Phrase';

interface Row {
  name: string;
  difference: PairedDifference;
  pValue: number | null;
  worse: boolean;
}

interface Props {
  shadow: string;
  live: string | null;
  report: ShadowReport | null;
}

/** How the shadow does beside the live Model, overall and by slice, and what follows. */
export function ShadowCard({ shadow, live, report }: Props): JSX.Element {
  const note = live ? `beside ${live}` : undefined;
  if (!report) {
    return (
      <Card title={`Shadow ${shadow}`} note={note}>
        <EmptyState>It has not been compared yet: the report follows the first outcomes.</EmptyState>
      </Card>
    );
  }
  const { difference, slices } = report;
  const rows: Row[] = difference
    ? [
        { name: 'all rows', difference, pValue: difference.p_value, worse: difference.high < 0 },
        ...slices.map(slice => ({ ...slice, pValue: slice.p_value }))
      ]
    : [];
  return (
    <Card title={`Shadow ${shadow}`} note={note}>
      <div className="taxiway-verdict">
        <Badge tone={verdictTone(report.verdict)} text={report.verdict} />
        <ul>
          {report.reasons.map(reason => (
            <li key={reason}>
              <Phrase text={reason} />
            </li>
          ))}
        </ul>
      </div>
      <Facts
        facts={[
          ['Candidate', <ModelLink key="shadow" tag={shadow} />],
          ['Answered by both', counted(report.n_pairs, 'row')],
          ['With outcomes', counted(report.n_labelled, 'row')],
          ['Agreement', percent(report.agreement)],
          ['Failed', count(report.errors)],
          ['Unanswered', count(report.unanswered)],
          ['Latency p50', latencies(report, 'p50')],
          ['Latency p99', latencies(report, 'p99')]
        ]}
      />
      {rows.length > 0 ? <DataTable label="Live and shadow, by slice" columns={COLUMNS} rows={rows} /> : null}
    </Card>
  );
}

const COLUMNS: readonly TableColumn<Row>[] = [
  { title: 'Slice', cell: row => row.name },
  { title: 'Metric', cell: row => row.difference.metric },
  { title: 'Live', cell: row => score(row.difference, row.difference.live), numeric: true },
  { title: 'Shadow', cell: row => score(row.difference, row.difference.shadow), numeric: true },
  {
    title: 'Gain of the shadow (95% interval)',
    cell: ({ difference }) => gains(difference),
    numeric: true
  },
  { title: 'p value', cell: row => pValue(row.pValue), numeric: true },
  { title: 'Outcomes', cell: row => count(row.difference.n), numeric: true },
  { title: 'Worse', cell: row => (row.worse ? <Badge tone="bad" text="significantly" /> : 'no') }
];

function score(difference: PairedDifference, value: number): string {
  return isShare(difference.metric) ? percent(value) : significant(value);
}

function gains({ metric, value, low, high }: PairedDifference): string {
  const [best, from, to] = [value, low, high].map(one => gain(one, isShare(metric)));
  return `${best ?? ''} (${from ?? ''} to ${to ?? ''})${isShare(metric) ? ' points' : ''}`;
}

function latencies(report: ShadowReport, quantile: 'p50' | 'p99'): string {
  const [live, shadow] = [report.live_latency[quantile], report.shadow_latency[quantile]].map(value =>
    value === null ? '–' : value < 10 ? `${value.toFixed(1)} ms` : duration(value)
  );
  return `live ${live ?? '–'}, shadow ${shadow ?? '–'}`;
}

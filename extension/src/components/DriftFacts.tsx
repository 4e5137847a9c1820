import type { JSX } from 'react';
import { count, percent, pValue, significant } from '../format';
import type { ColumnDrift } from '../types';
import { Badge } from './Badge';
import { type Fact, Facts } from './Facts';

const STATISTICS = new Map([
  ['ks', 'Kolmogorov–Smirnov D'],
  ['chi2', 'χ²'],
  ['fisher', 'χ² (Fisher’s p)']
]);

/** How far a column is from the reference, by every measure that there is. */
export function DriftFacts({ drift }: { drift: ColumnDrift }): JSX.Element {
  const optional = (name: string, value: number | null | undefined): Fact[] =>
    typeof value === 'number' ? [[name, significant(value)]] : [];
  const nulls =
    drift.null_share_reference === undefined || drift.null_share_window === undefined
      ? null
      : `${percent(drift.null_share_reference)} → ${percent(drift.null_share_window)}`;
  const facts: Fact[] = [
    ['PSI', significant(drift.psi)],
    [STATISTICS.get(drift.test ?? '') ?? 'Statistic', significant(drift.statistic)],
    ['p value, corrected', pValue(drift.p_value)],
    ...optional('Jensen–Shannon', drift.jensen_shannon),
    ...optional('Hellinger', drift.hellinger),
    ...optional('Wasserstein, in std. dev.', drift.wasserstein),
    ...(typeof drift.contribution === 'number'
      ? [['Contribution', percent(drift.contribution, 0)] as const]
      : []),
    ...(nulls === null ? [] : [['Missing', nulls] as const]),
    ...(drift.n_reference === undefined || drift.n_window === undefined
      ? []
      : [['Values compared', `${count(drift.n_reference)} and ${count(drift.n_window)}`] as const])
  ];
  return (
    <>
      <p>
        {drift.drifted ? <Badge tone="warn" text="drifted" /> : <Badge tone="plain" text="no drift" />}{' '}
        {drift.null_drifted ? <Badge tone="warn" text="missing values drifted" /> : null} {drift.text}
      </p>
      <Facts facts={facts} />
    </>
  );
}

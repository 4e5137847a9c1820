/** What the server says of whylogs profiles; the mirror of `taxiway.monitoring.distributions`. */

import type { ColumnDrift } from '../types';

export interface Category {
  value: string;
  reference: number | null;
  window: number | null;
  new: boolean;
  vanished: boolean;
}

export interface Distribution {
  kind: 'numeric' | 'datetime' | 'categorical' | 'none';
  edges: number[];
  reference: number[] | null;
  window: number[] | null;
  categories: Category[];
  others: [number | null, number | null];
  text: string;
}

export interface ColumnSummary {
  column: string;
  rows: number;
  nulls: number;
  infinities: number;
  types: Record<string, number>;
  kind: string;
  mean: number | null;
  stddev: number | null;
  minimum: number | null;
  maximum: number | null;
  quantiles: Record<string, number>;
  distinct: number | null;
  frequent: [value: string, count: number][];
}

/** One column of an endpoint in one window, over the reference. */
export interface ColumnDetail {
  column: string;
  window: string;
  end: string;
  model: string;
  rows: number;
  drift: ColumnDrift | null;
  reference: ColumnSummary | null;
  present: ColumnSummary | null;
  distribution: Distribution;
}

export interface Brief {
  quantiles: number[] | null;
  shares: Record<string, number>;
}

export interface ColumnHistory {
  levels: number[];
  windows: (Brief & { start: string; model: string })[];
  reference: Brief | null;
  total: number;
}

export interface ProfileColumn {
  summary: ColumnSummary;
  distribution: Distribution;
}

export interface Profile {
  time: string | null;
  created: string | null;
  rows: number;
  total: number;
  metadata: Record<string, string>;
  columns: ProfileColumn[];
}

export interface ColumnPair {
  column: string;
  reference: ColumnSummary | null;
  window: ColumnSummary | null;
  drift: ColumnDrift | null;
  distribution: Distribution;
}

export interface Comparison {
  columns: ColumnPair[];
}

export type ProfileSource = { kind: 'file'; path: string } | { kind: 'model'; tag: string };

export function sourceName(source: ProfileSource): string {
  return source.kind === 'file'
    ? (source.path.split('/').pop() ?? source.path)
    : `reference of ${source.tag}`;
}

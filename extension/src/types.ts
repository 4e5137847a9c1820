/** What the server's routes under `taxiway/api` send; the mirror of `taxiway.control.views`. */

export interface AgentState {
  running: boolean;
  pid: number | null;
  since: string | null;
  doing: string | null;
}

export interface PreflightSummary {
  ok: boolean;
  /** Whether the Bento was tried in a fresh environment, whatever came of it. */
  replayed: boolean;
  passed: number;
  failed: number;
  waived: number;
}

export interface ModelSummary {
  tag: string;
  name: string;
  version: string;
  created: string;
  framework: string;
  task: string;
  size_bytes: number;
  preflight: PreflightSummary;
  live_on: string[];
  shadow_on: string[];
  tags: string[];
  imported: Origin | null;
}

/** Where a Model was imported from. */
export interface Origin {
  source: string;
  time: string;
  by: string;
}

export interface Check {
  name: string;
  level: 'blocking' | 'warning' | 'note';
  result: 'passed' | 'failed' | 'waived' | 'skipped';
  reason: string;
  remedy: string;
}

/** The last preflight of a Model that was started in this Jupyter server. */
export interface PreflightRun {
  model: string;
  state: 'idle' | 'running' | 'cancelling' | 'done' | 'failed' | 'cancelled';
  started?: string;
  /** What is being done, or was last. */
  stage?: string;
  /** The checks that it has made so far. */
  checks?: Check[];
  error?: string;
  hint?: string;
}

export interface InputColumn {
  name: string;
  dtype: string;
  nullable: boolean;
  categories: unknown[] | null;
  minimum: number | null;
  maximum: number | null;
}

export interface OutputColumn {
  name: string;
  dtype: string;
  /** Of one row's value; empty for a single value. */
  shape: number[];
}

export interface ModelDetail extends Omit<ModelSummary, 'preflight'> {
  preflight: PreflightSummary & { checks: Check[] };
  signature: { inputs: InputColumn[]; outputs: OutputColumn[] };
  parity: Record<string, unknown> | null;
  lineage: Record<string, unknown> | null;
  environment: Record<string, unknown> | null;
  bento: string | null;
}

export type Status = 'ABSENT' | 'PENDING' | 'READY' | 'DEGRADED' | 'FAILED' | 'STOPPING' | 'UNKNOWN';

export interface Accuracy {
  value: number;
  low: number | null;
  high: number | null;
  n: number;
}

export type WindowUnit = 'hour' | 'day' | 'week' | 'month';

export interface EndpointSummary {
  name: string;
  backend: string;
  status: Status;
  reason: string | null;
  /** What is worth knowing beside the status. */
  notes?: string[];
  /** What is of a time that has not come yet, in a sentence. */
  ahead?: string | null;
  url: string | null;
  live: string | null;
  shadow: string | null;
  window: WindowUnit;
  requests: number;
  outcomes: number;
  drifted_columns: string[];
  accuracy: Accuracy | null;
  open_alerts: number;
  updated: string | null;
}

export interface ColumnDrift {
  column: string;
  kind: string;
  psi: number | null;
  statistic: number | null;
  p_value: number | null;
  drifted: boolean;
  /** One phrase for people: how strong, and what moved. */
  text?: string;
  /** `ks`, `chi2` or `fisher`. */
  test?: string | null;
  jensen_shannon?: number | null;
  hellinger?: number | null;
  /** In standard deviations of the reference. */
  wasserstein?: number | null;
  /** The column's share of all drift, weighted by what the Model makes of it. */
  contribution?: number | null;
  n_reference?: number;
  n_window?: number;
  null_share_reference?: number;
  null_share_window?: number;
  null_drifted?: boolean;
}

/** A column in the newest window that knows it. */
export interface DriftedColumn extends ColumnDrift {
  window: string;
  /** The largest PSI of all windows. */
  peak: number;
  ever: boolean;
  /** The live Model's newest window does not have it. */
  gone: boolean;
}

/** The drift of all columns together: how well a classifier tells the window from the reference. */
export interface MultivariateDrift {
  auc: number;
  low: number;
  high: number;
  p_value: number;
  drifted: boolean;
  text?: string;
}

export interface Performance {
  metric: string;
  value: number | null;
  low: number | null;
  high: number | null;
  n: number;
  coverage: number | null;
}

export interface MonitoringWindow {
  start: string;
  end: string;
  model: string;
  role: 'live' | 'shadow';
  rows: number;
  drift: ColumnDrift[];
  performance: Performance | null;
  multivariate?: MultivariateDrift | null;
  estimated?: EstimatedPerformance | null;
}

/** What the metric is likely to be, from the predictions alone. */
export interface EstimatedPerformance {
  method: string;
  metric: string;
  value: number | null;
  low: number | null;
  high: number | null;
  n: number;
  text?: string;
}

export interface SlicePerformance {
  name: string;
  n_predictions: number;
  n_labelled: number;
  coverage: number | null;
  metrics: Record<string, { value: number | null; low: number | null; high: number | null }>;
  /** How much better (positive) or worse the slice is than the rest. */
  gap: number | null;
  p_value: number | null;
  worse: boolean;
}

/** The slices of the newest window that has any with outcomes. */
export interface WindowSlices {
  window: string;
  model: string;
  metric: string;
  slices: SlicePerformance[];
}

/** What a change detector says of the live Model's errors. */
export interface ConceptDrift {
  method: string;
  metric: string;
  changes: { time: string; before: number; after: number; n: number }[];
  drifted: boolean;
  text?: string;
}

/** What the profiles of windows tell of the shape of the data. */
export interface QualityFinding {
  kind: string;
  column: string;
  related: string;
  text: string;
  expected: unknown;
  found: unknown;
  example: unknown;
  first: string;
  last: string;
  windows: number;
  /** Whether it is so in the newest window. */
  now: boolean;
}

export interface SchemaChange {
  kind: string;
  column: string;
  model: string;
  count: number;
  first_seen: string;
  last_seen: string;
  example: unknown;
  expected: string;
  found: string;
  rejected: boolean;
}

export type AlertState = 'pending' | 'firing' | 'acknowledged' | 'resolved';

export interface Alert {
  id: number;
  endpoint: string;
  rule: string;
  severity: 'info' | 'warning' | 'critical';
  title: string;
  detail: string;
  column: string | null;
  state: AlertState;
  /** The window's name for people, and its start. */
  window?: string | null;
  window_start?: string | null;
  value?: number | null;
  threshold?: number | null;
  since?: string | null;
  /** Nobody is told of it until then. */
  silenced_until?: string | null;
  first_seen: string;
  last_seen: string;
  count: number;
}

export interface TimelineEvent {
  time: string;
  event: string;
  actor: string;
  text: string;
}

export interface Run {
  id: string;
  notebook: string;
  endpoint: string | null;
  state: 'queued' | 'running' | 'succeeded' | 'failed';
  trigger: string;
  started: string | null;
  ended: string | null;
  progress: { cell: number; cells: number } | null;
  model: string | null;
  error: string | null;
  output: string | null;
}

/** How much better the shadow is than the live Model on the same rows; positive: better. */
export interface PairedDifference {
  metric: 'accuracy' | 'mae';
  n: number;
  live: number;
  shadow: number;
  value: number;
  low: number;
  high: number;
  p_value: number;
}

export interface SliceDifference {
  column: string;
  value: string;
  name: string;
  difference: PairedDifference;
  p_value: number | null;
  worse: boolean;
}

export interface Latency {
  p50: number | null;
  p99: number | null;
}

export interface ShadowReport {
  task: string;
  metric: string;
  n_pairs: number;
  n_labelled: number;
  agreement: number | null;
  errors: number;
  unanswered: number;
  live_latency: Latency;
  shadow_latency: Latency;
  margin: number;
  difference: PairedDifference | null;
  slices: SliceDifference[];
  needed: number | null;
  verdict: 'promote' | 'keep watching' | 'reject';
  reasons: string[];
}

export interface EndpointDetail extends EndpointSummary {
  windows: MonitoringWindow[];
  /** Every column; `windows` has only the most drifted of many. */
  columns?: DriftedColumn[];
  slices?: WindowSlices | null;
  concept?: ConceptDrift | null;
  quality?: QualityFinding[];
  schema: SchemaChange[];
  alerts: Alert[];
  timeline: TimelineEvent[];
  shadow_report: ShadowReport | null;
  runs: Run[];
}

export interface Overview {
  version: string;
  home: string;
  agent: AgentState;
  models: ModelSummary[];
  endpoints: EndpointSummary[];
  alerts: Alert[];
  runs: Run[];
}

/** A sentence that says what is wrong and one that says what to do. */
export interface Failure {
  error: string;
  hint: string;
}

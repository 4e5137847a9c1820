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

export interface Alert {
  id: number;
  endpoint: string;
  rule: string;
  severity: 'info' | 'warning' | 'critical';
  title: string;
  detail: string;
  column: string | null;
  state: 'firing' | 'acknowledged' | 'resolved';
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

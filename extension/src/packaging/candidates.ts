/** What `taxiway.lab.discover` finds in a kernel, and which of it belongs together. */

export interface ModelVariable {
  variable: string;
  type: string;
  framework: string;
  fitted: boolean;
  columns: string[] | null;
  features: number | null;
}

export interface DataVariable {
  variable: string;
  kind: 'DataFrame' | 'Series';
  rows: number;
  columns: string[];
}

export interface Found {
  models: ModelVariable[];
  data: DataVariable[];
  names: string[];
}

/** The DataFrames that a model can be profiled on, the likeliest first. */
export function references(model: ModelVariable, found: Found): DataVariable[] {
  return ranked(
    found.data.filter(datum => datum.kind === 'DataFrame'),
    datum => referenceScore(model, datum)
  );
}

/** The Series that can be the target of a reference: as many rows, the likeliest first. */
export function targets(reference: DataVariable | null, found: Found): DataVariable[] {
  return ranked(
    found.data.filter(datum => datum.kind === 'Series' && datum.rows === reference?.rows),
    datum => (/^y|target|label/i.test(datum.variable) ? 1 : 0) + (sameSplit(datum, reference) ? 2 : 0)
  );
}

/** A fitted model first: the newest, since names are in the order of their making. */
export function likeliestModel(found: Found): ModelVariable | null {
  const fitted = found.models.filter(model => model.fitted);
  return fitted.at(-1) ?? null;
}

function referenceScore(model: ModelVariable, datum: DataVariable): number {
  const wanted = model.columns;
  const named = /^x|train|feature|reference/i.test(datum.variable) ? 1 : 0;
  const train = /train/i.test(datum.variable) ? 1 : 0;
  if (wanted === null) {
    return (datum.columns.length === model.features ? 4 : 0) + named + train;
  }
  const has = new Set(datum.columns);
  if (!wanted.every(column => has.has(column))) {
    return -1;
  }
  return (datum.columns.length === wanted.length ? 8 : 4) + named + train;
}

function sameSplit(datum: DataVariable, reference: DataVariable | null): boolean {
  const split = /train|test|valid/i;
  const [mine] = split.exec(datum.variable) ?? [];
  const [theirs] = split.exec(reference?.variable ?? '') ?? [];
  return mine !== undefined && mine.toLowerCase() === theirs?.toLowerCase();
}

function ranked(data: DataVariable[], score: (datum: DataVariable) => number): DataVariable[] {
  return data
    .map(datum => ({ datum, score: score(datum) }))
    .filter(entry => entry.score >= 0)
    .sort((a, b) => b.score - a.score)
    .map(entry => entry.datum);
}

/** Texts that differ whenever the detail of a thing may differ from what the last overview implied. */

import type { Overview } from './types';

export function endpointVersion(overview: Overview | null, name: string): string {
  return JSON.stringify([
    overview?.endpoints.find(endpoint => endpoint.name === name),
    overview?.alerts.filter(alert => alert.endpoint === name),
    overview?.runs.filter(run => run.endpoint === name)
  ]);
}

export function modelVersion(overview: Overview | null, tag: string): string {
  return JSON.stringify(overview?.models.find(model => model.tag === tag));
}

/** Vega-Lite 5 specifications of an endpoint's performance: measured, estimated, and how much is labelled. */

import type { PartialJSONObject } from '@lumino/coreutils';
import { type ChartColors, frame, recentWindows, windowsOnX } from './charts';
import { percent, significant, windowLabel, windowPlace } from './format';
import type { ConceptDrift, MonitoringWindow, Performance, WindowUnit } from './types';

/** One window's score, as the line and its table show it. */
export interface ScorePoint extends PartialJSONObject {
  window: string;
  series: string;
  model: string;
  value: number | null;
  low: number | null;
  high: number | null;
  coverage: number | null;
  valueText: string;
  intervalText: string;
  coverageText: string;
  n: number;
}

/** A time at which the errors changed, put into its window. */
export interface ChangeMark extends PartialJSONObject {
  window: string;
  /** The window in a sentence. */
  place: string;
  text: string;
}

/** What is measured, or else what is estimated. */
export function metricOf(windows: readonly MonitoringWindow[]): string | null {
  const measured = windows.findLast(window => window.performance)?.performance?.metric;
  return measured ?? windows.findLast(window => window.estimated)?.estimated?.metric ?? null;
}

/** The scores of the windows: from outcomes, of live and shadow, and as estimated without them. */
export function scores(windows: readonly MonitoringWindow[], unit: WindowUnit): ScorePoint[] {
  const metric = metricOf(windows);
  return recentWindows(windows).flatMap(window => {
    const { performance, estimated } = window;
    const points: ScorePoint[] = [];
    if (performance?.metric === metric) {
      points.push(scorePoint(window, unit, window.role, performance));
    }
    if (window.role === 'live' && estimated?.metric === metric) {
      points.push(scorePoint(window, unit, 'estimated', { coverage: null, ...estimated }));
    }
    return points;
  });
}

function scorePoint(
  window: MonitoringWindow,
  unit: WindowUnit,
  series: string,
  score: Pick<Performance, 'metric' | 'value' | 'low' | 'high' | 'n' | 'coverage'>
): ScorePoint {
  const share = isShare(score.metric) ? percent : significant;
  const { value, low, high, coverage, n } = score;
  return {
    window: windowLabel(window.start, unit),
    series,
    model: window.model,
    value,
    low,
    high,
    coverage,
    n,
    valueText: share(value),
    intervalText: low === null || high === null ? '–' : `${share(low)} to ${share(high)}`,
    coverageText: series === 'estimated' ? 'not needed' : percent(coverage)
  };
}

/** The changes that the detector found, each in the window that its time is in. */
export function changeMarks(
  concept: ConceptDrift | null | undefined,
  windows: readonly MonitoringWindow[],
  unit: WindowUnit
): ChangeMark[] {
  const starts = [...new Set(recentWindows(windows).map(window => window.start))].sort();
  return (concept?.changes ?? []).flatMap(change => {
    const time = Date.parse(change.time);
    const start = starts.findLast(one => Date.parse(one) <= time);
    const text = `mean error ${significant(change.before)} → ${significant(change.after)}`;
    return start === undefined
      ? []
      : [{ window: windowLabel(start, unit), place: windowPlace(start, unit), text }];
  });
}

const SERIES = ['live', 'shadow', 'estimated'];

/** Whether a metric is a share, shown as a percentage. */
export function isShare(metric: string): boolean {
  return /accuracy|f1|precision|recall|auc/.test(metric);
}

export function scoreSpec(
  points: ScorePoint[],
  windows: string[],
  metric: string,
  changes: ChangeMark[],
  colors: ChartColors
): PartialJSONObject {
  const domain = [...new Set(points.map(point => point.series))].sort();
  const color = {
    field: 'series',
    type: 'nominal',
    title: null,
    scale: { domain: SERIES, range: [colors.line, colors.second, colors.text] },
    legend:
      domain.length > 1
        ? { orient: 'top', symbolType: 'stroke', symbolStrokeWidth: 2, symbolOpacity: 1, values: domain }
        : null
  };
  const x = windowsOnX(windows);
  const dash = {
    field: 'series',
    type: 'nominal',
    scale: {
      domain: SERIES,
      range: [
        [1, 0],
        [1, 0],
        [5, 4]
      ]
    },
    legend: null
  };
  const axis = { minExtent: 48, ...(isShare(metric) ? { format: '.0%' } : {}) };
  return {
    ...frame(colors),
    height: 140,
    data: { values: points },
    encoding: {
      x,
      tooltip: [
        { field: 'window', title: 'Window' },
        { field: 'model', title: 'Model' },
        { field: 'series', title: 'Role' },
        { field: 'valueText', title: metric },
        { field: 'intervalText', title: '95% interval' },
        { field: 'n', title: 'Outcomes' },
        { field: 'coverageText', title: 'Coverage' }
      ],
      color
    },
    layer: [
      {
        mark: { type: 'area', opacity: 0.18, line: false },
        encoding: {
          y: { field: 'low', type: 'quantitative', scale: { zero: false }, title: metric, axis },
          y2: { field: 'high' }
        }
      },
      {
        mark: { type: 'line', strokeWidth: 2, point: { size: 36 } },
        encoding: { y: { field: 'value', type: 'quantitative' }, strokeDash: dash }
      },
      {
        data: { values: changes },
        mark: { type: 'rule', strokeWidth: 2, color: colors.bad },
        encoding: {
          x,
          color: { value: colors.bad },
          tooltip: [
            { field: 'window', title: 'The errors changed in' },
            { field: 'text', title: 'Change' }
          ]
        }
      }
    ]
  };
}

export function coverageSpec(
  points: ScorePoint[],
  windows: string[],
  colors: ChartColors
): PartialJSONObject {
  const values = points.filter(point => point.series === 'live');
  return {
    ...frame(colors),
    height: 36,
    data: { values },
    mark: { type: 'bar', color: colors.faint },
    encoding: {
      x: {
        field: 'window',
        type: 'ordinal',
        scale: { domain: windows },
        title: null,
        axis: { labels: false, ticks: false }
      },
      y: {
        field: 'coverage',
        type: 'quantitative',
        scale: { domain: [0, 1] },
        title: 'outcomes',
        axis: { format: '.0%', values: [0, 1], minExtent: 48 }
      },
      tooltip: [
        { field: 'window', title: 'Window' },
        { field: 'coverageText', title: 'Coverage' },
        { field: 'n', title: 'Outcomes' }
      ]
    }
  };
}

/** Vega-Lite 5 specifications of an endpoint's windows; plain JSON, drawn by JupyterLab's own renderer. */

import type { PartialJSONObject } from '@lumino/coreutils';
import { percent, pValue, significant, windowLabel } from './format';
import type { ColumnDrift, MonitoringWindow, WindowUnit } from './types';

/** More windows or columns than this cannot be told apart in a panel; the table has them all. */
export const MAX_WINDOWS = 72;
export const MAX_COLUMNS = 25;

/** PSI below 0.1 is usually called no shift, from 0.25 a large one (Siddiqi, Credit Risk Scorecards, 2006). */
const PSI_STEPS = [0, 0.1, 0.25, 0.5];

export interface ChartColors {
  text: string;
  faint: string;
  background: string;
  line: string;
  second: string;
  /** One colour for each step of PSI. */
  heat: string[];
  font: string;
}

/** One column in one window, as the heat map and its table show it. */
export interface HeatCell extends PartialJSONObject {
  column: string;
  window: string;
  model: string;
  psi: number | null;
  drifted: boolean;
  psiText: string;
  pText: string;
}

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

export interface HeatMap {
  cells: HeatCell[];
  /** The columns shown, the most drifted first. */
  columns: string[];
  /** How many columns there are. */
  total: number;
  windows: string[];
}

/** The newest windows of the live role, with one label each. */
export function recentWindows(windows: readonly MonitoringWindow[]): MonitoringWindow[] {
  const starts = [...new Set(windows.map(window => window.start))].sort().slice(-MAX_WINDOWS);
  const kept = new Set(starts);
  return windows.filter(window => kept.has(window.start));
}

/** The drift of the live Models; where a switch left two in one window, the larger drift is shown. */
export function heatMap(windows: readonly MonitoringWindow[], unit: WindowUnit): HeatMap {
  const live = recentWindows(windows.filter(window => window.role === 'live'));
  const worst = new Map<string, HeatCell>();
  const peaks = new Map<string, number>();
  for (const window of live) {
    const label = windowLabel(window.start, unit);
    for (const drift of window.drift) {
      const cell = heatCell(window, label, drift);
      const key = `${label}\n${drift.column}`;
      if ((worst.get(key)?.psi ?? -1) <= (cell.psi ?? 0)) {
        worst.set(key, cell);
      }
      peaks.set(drift.column, Math.max(peaks.get(drift.column) ?? 0, rank(drift)));
    }
  }
  const ordered = [...peaks.entries()].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  const columns = ordered.slice(0, MAX_COLUMNS).map(([column]) => column);
  const shown = new Set(columns);
  return {
    cells: [...worst.values()].filter(cell => shown.has(cell.column)),
    columns,
    total: peaks.size,
    windows: [...new Set(live.map(window => windowLabel(window.start, unit)))]
  };
}

function rank(drift: ColumnDrift): number {
  return (drift.psi ?? 0) + (drift.drifted ? 1000 : 0);
}

function heatCell(window: MonitoringWindow, label: string, drift: ColumnDrift): HeatCell {
  return {
    column: drift.column,
    window: label,
    model: window.model,
    psi: drift.psi,
    drifted: drift.drifted,
    psiText: significant(drift.psi),
    pText: pValue(drift.p_value)
  };
}

/** The scores of the windows that have outcomes, live and shadow. */
export function scores(windows: readonly MonitoringWindow[], unit: WindowUnit): ScorePoint[] {
  return recentWindows(windows).flatMap(window => {
    const performance = window.performance;
    if (!performance) {
      return [];
    }
    const share = isShare(performance.metric) ? percent : significant;
    const { value, low, high, coverage, n } = performance;
    return [
      {
        window: windowLabel(window.start, unit),
        series: window.role,
        model: window.model,
        value,
        low,
        high,
        coverage,
        n,
        valueText: share(value),
        intervalText: low === null || high === null ? '–' : `${share(low)} to ${share(high)}`,
        coverageText: percent(coverage)
      }
    ];
  });
}

/** Whether a metric is a share, shown as a percentage. */
export function isShare(metric: string): boolean {
  return /accuracy|f1|precision|recall|auc/.test(metric);
}

export function heatMapSpec(map: HeatMap, colors: ChartColors): PartialJSONObject {
  const x = { field: 'window', type: 'ordinal', sort: map.windows, title: null, axis: windowAxis() };
  const y = { field: 'column', type: 'nominal', sort: map.columns, title: null, axis: { labelLimit: 140 } };
  return {
    ...frame(colors),
    height: { step: 20 },
    data: { values: map.cells },
    encoding: {
      x: { ...x, scale: { domain: map.windows } },
      y,
      tooltip: [
        { field: 'column', title: 'Column' },
        { field: 'window', title: 'Window' },
        { field: 'model', title: 'Model' },
        { field: 'psiText', title: 'PSI' },
        { field: 'pText', title: 'p value' },
        { field: 'drifted', title: 'Drifted' }
      ]
    },
    layer: [
      {
        mark: { type: 'rect', stroke: colors.background, strokeWidth: 1 },
        encoding: {
          color: {
            field: 'psi',
            type: 'quantitative',
            title: 'PSI',
            scale: { domain: PSI_STEPS, range: colors.heat, clamp: true, interpolate: 'rgb' },
            legend: { gradientLength: 80, tickCount: 3 }
          }
        }
      },
      {
        transform: [{ filter: 'datum.drifted' }],
        mark: {
          type: 'point',
          size: 24,
          filled: true,
          opacity: 1,
          stroke: colors.background,
          strokeWidth: 1
        },
        encoding: { color: { value: colors.text } }
      }
    ]
  };
}

export function scoreSpec(
  points: ScorePoint[],
  windows: string[],
  metric: string,
  colors: ChartColors
): PartialJSONObject {
  const domain = [...new Set(points.map(point => point.series))].sort();
  const color = {
    field: 'series',
    type: 'nominal',
    title: null,
    scale: { domain: ['live', 'shadow'], range: [colors.line, colors.second] },
    legend: domain.length > 1 ? { orient: 'top', symbolOpacity: 1 } : null
  };
  const axis = { minExtent: 48, ...(isShare(metric) ? { format: '.0%' } : {}) };
  return {
    ...frame(colors),
    height: 140,
    data: { values: points },
    encoding: {
      x: {
        field: 'window',
        type: 'ordinal',
        sort: windows,
        scale: { domain: windows },
        title: null,
        axis: windowAxis()
      },
      tooltip: [
        { field: 'window', title: 'Window' },
        { field: 'model', title: 'Model' },
        { field: 'series', title: 'Role' },
        { field: 'valueText', title: metric },
        { field: 'intervalText', title: '95 % interval' },
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
        encoding: { y: { field: 'value', type: 'quantitative' } }
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
        title: 'labelled',
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

function windowAxis(): PartialJSONObject {
  return { labelAngle: 0, labelOverlap: 'parity', labelSeparation: 8, ticks: false };
}

function frame(colors: ChartColors): PartialJSONObject {
  const label = { labelColor: colors.text, titleColor: colors.text, labelFont: colors.font };
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v5.json',
    background: null,
    autosize: { type: 'fit-x', contains: 'padding' },
    padding: 0,
    config: {
      font: colors.font,
      view: { stroke: null },
      axis: {
        ...label,
        gridColor: colors.faint,
        gridOpacity: 0.35,
        domainColor: colors.faint,
        titleFontWeight: 'normal'
      },
      legend: { ...label, titleFontWeight: 'normal' }
    }
  };
}

/** Vega-Lite 5 specifications of an endpoint's windows; plain JSON, drawn by JupyterLab's own renderer. */

import type { PartialJSONObject } from '@lumino/coreutils';
import { pValue, significant, windowLabel } from './format';
import type { ColumnDrift, MonitoringWindow, MultivariateDrift, WindowUnit } from './types';

/** More windows or columns than this cannot be told apart in a panel; the table has them all. */
export const MAX_WINDOWS = 72;
export const MAX_COLUMNS = 25;

/** PSI below 0.1 is usually called no shift, from 0.25 a large one (Siddiqi, Credit Risk Scorecards, 2006). */
const PSI_STEPS = [0, 0.1, 0.25, 0.5];

/** How wide the place of a chart is, in pixels; `VegaChart` says so to every specification. */
export const PLACE = 'place';

/** Room for the names at an axis: less where there is little. */
export const LABEL_LIMIT = { expr: `${PLACE} < 420 ? 90 : 170` };

export interface ChartColors {
  text: string;
  faint: string;
  background: string;
  line: string;
  second: string;
  /** What is wrong. */
  bad: string;
  /** One colour for each step of PSI. */
  heat: string[];
  font: string;
}

/** One column in one window, as the heat map and its table show it. */
export interface HeatCell extends PartialJSONObject {
  column: string;
  window: string;
  /** When the window starts. */
  start: string;
  model: string;
  psi: number | null;
  /** What colours the cell: PSI, or what is as much for all columns together. */
  level: number | null;
  drifted: boolean;
  driftedText: string;
  /** What a screen reader says of the cell, and what a click on it is known by. */
  label: string;
  psiText: string;
  pText: string;
}

export interface HeatMap {
  cells: HeatCell[];
  /** The columns shown, the most drifted first. */
  columns: string[];
  /** How many columns there are. */
  total: number;
  windows: string[];
  /** How many windows there are. */
  totalWindows: number;
}

/** The newest windows of the live role, with one label each. */
export function recentWindows(windows: readonly MonitoringWindow[]): MonitoringWindow[] {
  const starts = [...new Set(windows.map(window => window.start))].sort().slice(-MAX_WINDOWS);
  const kept = new Set(starts);
  return windows.filter(window => kept.has(window.start));
}

/** The row of the heat map that is no column. */
export const TOGETHER = 'all columns together';

/** The drift of the live Models; where a switch left two in one window, the larger drift is shown. */
export function heatMap(windows: readonly MonitoringWindow[], unit: WindowUnit): HeatMap {
  const live = recentWindows(windows.filter(window => window.role === 'live'));
  const worst = new Map<string, HeatCell>();
  const peaks = new Map<string, number>();
  const together = new Map<string, HeatCell>();
  for (const window of live) {
    const label = windowLabel(window.start, unit);
    if (window.multivariate) {
      together.set(label, togetherCell(window, label, window.multivariate));
    }
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
    cells: [...together.values(), ...[...worst.values()].filter(cell => shown.has(cell.column))],
    columns: together.size > 0 ? [TOGETHER, ...columns] : columns,
    total: peaks.size,
    windows: [...new Set(live.map(window => windowLabel(window.start, unit)))],
    totalWindows: new Set(windows.filter(window => window.role === 'live').map(window => window.start)).size
  };
}

function rank(drift: ColumnDrift): number {
  return (drift.psi ?? 0) + (drift.drifted ? 1000 : 0);
}

function heatCell(window: MonitoringWindow, label: string, drift: ColumnDrift): HeatCell {
  const psiText = significant(drift.psi);
  return {
    column: drift.column,
    window: label,
    start: window.start,
    model: window.model,
    psi: drift.psi,
    level: drift.psi,
    drifted: drift.drifted,
    driftedText: drift.drifted ? 'yes' : 'no',
    label: `${drift.column}, ${label}: PSI ${psiText}${drift.drifted ? ', drifted' : ''}`,
    psiText,
    pText: pValue(drift.p_value)
  };
}

/** An AUC of a half says nothing; 0.6, 0.75 and 1 are coloured as PSI 0.1, 0.25 and 0.5. */
function togetherCell(window: MonitoringWindow, label: string, found: MultivariateDrift): HeatCell {
  const auc = significant(found.auc);
  return {
    column: TOGETHER,
    window: label,
    start: window.start,
    model: window.model,
    psi: null,
    level: Math.max(0, found.auc - 0.5),
    drifted: found.drifted,
    driftedText: found.drifted ? 'yes' : 'no',
    label: `${TOGETHER}, ${label}: AUC ${auc}${found.drifted ? ', drifted' : ''}`,
    psiText: `AUC ${auc}`,
    pText: pValue(found.p_value)
  };
}

/** The heat map, with a frame around the cell that is shown elsewhere. */
export function heatMapSpec(
  map: HeatMap,
  chosen: { column: string; window: string } | null,
  colors: ChartColors
): PartialJSONObject {
  const cellWidth = `((${PLACE} - (${PLACE} < 420 ? 90 : 130)) / ${map.windows.length})`;
  const x = { field: 'window', type: 'ordinal', sort: map.windows, title: null, axis: windowAxis() };
  const y = {
    field: 'column',
    type: 'nominal',
    sort: map.columns,
    title: null,
    axis: { labelLimit: LABEL_LIMIT }
  };
  return {
    ...frame(colors),
    height: { step: 20 },
    data: { values: map.cells },
    encoding: {
      x: { ...x, scale: { domain: map.windows } },
      y,
      description: { field: 'label' },
      tooltip: [
        { field: 'column', title: 'Column' },
        { field: 'window', title: 'Window' },
        { field: 'model', title: 'Model' },
        { field: 'psiText', title: 'PSI' },
        { field: 'pText', title: 'p value' },
        { field: 'driftedText', title: 'Drifted' }
      ]
    },
    layer: [
      {
        mark: { type: 'rect', stroke: colors.background, strokeWidth: 1, cursor: 'pointer' },
        encoding: {
          color: {
            field: 'level',
            type: 'quantitative',
            title: 'PSI',
            scale: { domain: PSI_STEPS, range: colors.heat, clamp: true, interpolate: 'rgb' },
            legend: {
              orient: 'top',
              direction: 'horizontal',
              gradientLength: 160,
              gradientThickness: 8,
              titleOrient: 'left',
              values: PSI_STEPS,
              format: '.2~f',
              labelExpr: `datum.value < ${PSI_STEPS.at(-1) ?? 1} ? datum.label : '≥ ' + datum.label`
            }
          }
        }
      },
      {
        transform: [{ filter: 'datum.drifted' }],
        mark: {
          type: 'point',
          size: { expr: `clamp(${cellWidth} * ${cellWidth} / 4, 3, 24)` },
          filled: true,
          opacity: 1,
          cursor: 'pointer',
          stroke: colors.background,
          strokeWidth: { expr: `${cellWidth} < 8 ? 0 : 1` }
        },
        encoding: { color: { value: colors.text } }
      },
      {
        transform: [
          { filter: { field: 'column', equal: chosen?.column ?? '' } },
          { filter: { field: 'start', equal: chosen?.window ?? '' } }
        ],
        mark: { type: 'rect', fill: null, stroke: colors.text, strokeWidth: 2, cursor: 'pointer' }
      }
    ]
  };
}

/** Windows from left to right, each in its place although it has no value. */
export function windowsOnX(windows: readonly string[]): PartialJSONObject {
  return {
    field: 'window',
    type: 'ordinal',
    sort: [...windows],
    scale: { domain: [...windows] },
    title: null,
    axis: windowAxis()
  };
}

export function windowAxis(): PartialJSONObject {
  return { labelAngle: 0, labelOverlap: 'parity', labelSeparation: 8, labelBound: true, ticks: false };
}

/** What all charts share. */
export function frame(colors: ChartColors): PartialJSONObject {
  const label = { labelColor: colors.text, titleColor: colors.text, labelFont: colors.font };
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v5.json',
    background: null,
    autosize: { type: 'fit-x', contains: 'padding' },
    padding: { left: 0, right: 0, top: 2, bottom: 4 },
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

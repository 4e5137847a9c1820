/** Vega-Lite 5 specifications of distributions: of one profile, of two over each other, and over time. */

import type { PartialJSONObject } from '@lumino/coreutils';
import { type ChartColors, frame, LABEL_LIMIT, PLACE, windowAxis, windowsOnX } from '../charts';
import { percent, significant, windowLabel } from '../format';
import type { WindowUnit } from '../types';
import type { ColumnHistory, Distribution } from './types';

/** What the two sides of a distribution are called; the first is empty if there is one side only. */
export interface Names {
  reference: string;
  window: string;
}

/** One bar of one side, as the chart and its table show it. */
export interface ShareBar extends PartialJSONObject {
  side: string;
  label: string;
  low: number;
  high: number;
  share: number;
  shareText: string;
  mark: string;
}

const MOST_SHARES = 8;

/** The bars of both sides, of bins or of categories. */
export function shareBars(distribution: Distribution, names: Names): ShareBar[] {
  return distribution.kind === 'categorical'
    ? categoryBars(distribution, names)
    : binBars(distribution, names);
}

function binBars({ kind, edges, reference, window }: Distribution, names: Names): ShareBar[] {
  const scale = kind === 'datetime' ? 1000 : 1;
  const side = (shares: number[] | null, name: string): ShareBar[] =>
    (shares ?? []).map((share, index) => {
      const [low = 0, high = 0] = edges.slice(index, index + 2);
      return {
        side: name,
        label: `${edgeText(low, kind)} to ${edgeText(high, kind)}`,
        low: low * scale,
        high: high * scale,
        share,
        shareText: percent(share),
        mark: ''
      };
    });
  return [...side(reference, names.reference), ...side(window, names.window)];
}

function categoryBars({ categories, others }: Distribution, names: Names): ShareBar[] {
  const bar = (side: string, label: string, share: number | null, mark: string): ShareBar[] =>
    share === null ? [] : [{ side, label, low: 0, high: 0, share, shareText: percent(share), mark }];
  const rest = (others[0] ?? 0) > 0.0005 || (others[1] ?? 0) > 0.0005;
  return [
    ...categories.flatMap(one => [
      ...bar(names.reference, shown(one.value), one.reference, one.vanished ? 'gone' : ''),
      ...bar(names.window, shown(one.value), one.window, one.new ? 'new' : '')
    ]),
    ...(rest
      ? [...bar(names.reference, OTHERS, others[0], ''), ...bar(names.window, OTHERS, others[1], '')]
      : [])
  ];
}

const OTHERS = 'all others';

function shown(value: string): string {
  return value === '' ? '(empty text)' : value;
}

function edgeText(edge: number, kind: Distribution['kind']): string {
  return kind === 'datetime'
    ? new Date(edge * 1000).toISOString().slice(0, 16).replace('T', ' ')
    : significant(edge);
}

/** Bins of numbers or times, or bars of categories; the window over the reference. */
export function distributionSpec(
  distribution: Distribution,
  names: Names,
  colors: ChartColors
): PartialJSONObject {
  const bars = shareBars(distribution, names);
  return distribution.kind === 'categorical'
    ? categorySpec(bars, names, colors)
    : histogramSpec(bars, distribution.kind, names, colors);
}

function sideColor(names: Names, colors: ChartColors): PartialJSONObject {
  const both = names.reference !== '';
  return {
    field: 'side',
    type: 'nominal',
    title: null,
    scale: {
      domain: both ? [names.reference, names.window] : [names.window],
      range: both ? [colors.faint, colors.line] : [colors.line]
    },
    legend: both
      ? { orient: 'top', symbolOpacity: 1, labelLimit: 260, columns: { expr: `${PLACE} < 420 ? 1 : 2` } }
      : null
  };
}

const SHARE_TOOLTIP = [
  { field: 'side', title: 'Of' },
  { field: 'label', title: 'Values' },
  { field: 'shareText', title: 'Share' }
];

function histogramSpec(
  bars: ShareBar[],
  kind: Distribution['kind'],
  names: Names,
  colors: ChartColors
): PartialJSONObject {
  const time = kind === 'datetime';
  return {
    ...frame(colors),
    height: 180,
    data: { values: bars },
    mark: { type: 'rect', stroke: colors.background, strokeWidth: 0.5 },
    encoding: {
      x: {
        field: 'low',
        type: time ? 'temporal' : 'quantitative',
        title: null,
        scale: { zero: false, nice: false, ...(time ? { type: 'utc' } : {}) },
        axis: { grid: false, labelOverlap: 'parity', labelFlush: true }
      },
      x2: { field: 'high' },
      y: {
        field: 'share',
        type: 'quantitative',
        title: null,
        axis: { format: '.0%', tickCount: 4, minExtent: 40 }
      },
      y2: { datum: 0 },
      color: sideColor(names, colors),
      opacity: {
        condition: { test: { field: 'side', equal: names.reference }, value: 0.9 },
        value: names.reference === '' ? 0.9 : 0.55
      },
      tooltip: SHARE_TOOLTIP
    }
  };
}

function categorySpec(bars: ShareBar[], names: Names, colors: ChartColors): PartialJSONObject {
  const order = [...new Set(bars.map(bar => bar.label))];
  const sides = names.reference === '' ? [names.window] : [names.reference, names.window];
  const y = {
    field: 'label',
    type: 'nominal',
    sort: order,
    title: null,
    axis: { labelLimit: LABEL_LIMIT, ticks: false }
  };
  const yOffset = { field: 'side', sort: sides, scale: { domain: sides, paddingInner: 0.05 } };
  return {
    ...frame(colors),
    height: { step: names.reference === '' ? 18 : 26, for: 'position' },
    data: { values: bars },
    encoding: {
      y: { ...y, scale: { paddingInner: 0.25 } },
      yOffset,
      x: { field: 'share', type: 'quantitative', title: null, axis: { format: '.0%', tickCount: 4 } },
      tooltip: SHARE_TOOLTIP
    },
    layer: [
      { mark: { type: 'bar' }, encoding: { color: sideColor(names, colors) } },
      {
        transform: [{ filter: "datum.mark !== ''" }],
        mark: {
          type: 'text',
          align: 'left',
          dx: 4,
          fontWeight: 'bold',
          color: colors.bad,
          baseline: 'middle'
        },
        encoding: { text: { field: 'mark' } }
      }
    ]
  };
}

/** One window of the history, as the band chart shows it. */
interface BandPoint extends PartialJSONObject {
  window: string;
  description: string;
  values: number[];
  text: string;
}

/** What a screen reader says of a window in the chart over time, and what a click on it is known by. */
export function historyLabel(start: string, unit: WindowUnit): string {
  return `Show ${windowLabel(start, unit)}`;
}

/** The quantiles of every window as bands, the reference's as dashed lines. */
export function bandSpec(
  history: ColumnHistory,
  unit: WindowUnit,
  chosen: string,
  temporal: boolean,
  colors: ChartColors
): PartialJSONObject {
  const scale = temporal ? 1000 : 1;
  const points: BandPoint[] = history.windows.flatMap(one =>
    one.quantiles === null
      ? []
      : [
          {
            window: windowLabel(one.start, unit),
            description: historyLabel(one.start, unit),
            values: one.quantiles.map(value => value * scale),
            text: one.quantiles.map(significant).join(' · ')
          }
        ]
  );
  const windows = [...new Set(points.map(point => point.window))];
  const x = windowsOnX(windows);
  const type = temporal ? 'temporal' : 'quantitative';
  const y = { type, title: null, scale: { zero: false }, axis: { minExtent: 40, tickCount: 5 } };
  const area = windows.length < 3 ? 'bar' : 'area';
  const lines = (history.reference?.quantiles ?? []).map(value => ({ value: value * scale }));
  return {
    ...frame(colors),
    height: 150,
    data: { values: points },
    encoding: { x },
    layer: [
      {
        mark: { type: area, opacity: 0.16, color: colors.line },
        encoding: { y: { ...y, field: 'values[0]' }, y2: { field: 'values[4]' } }
      },
      {
        mark: { type: area, opacity: 0.3, color: colors.line },
        encoding: { y: { ...y, field: 'values[1]' }, y2: { field: 'values[3]' } }
      },
      {
        mark: {
          type: 'line',
          strokeWidth: 2,
          color: colors.line,
          point: windows.length < 40 ? { size: 24 } : false
        },
        encoding: { y: { ...y, field: 'values[2]' } }
      },
      {
        data: { values: lines },
        mark: { type: 'rule', strokeDash: [4, 3], color: colors.text, opacity: 0.55 },
        encoding: { x: { value: 0 }, x2: { value: 'width' }, y: { ...y, field: 'value' } }
      },
      chosenRule(windowLabel(chosen, unit), x, colors),
      catcher()
    ]
  };
}

/** The shares of the most frequent categories in every window. */
export function historySharesSpec(
  history: ColumnHistory,
  unit: WindowUnit,
  chosen: string,
  colors: ChartColors
): PartialJSONObject {
  const totals = new Map<string, number>();
  for (const one of history.windows) {
    for (const [value, share] of Object.entries(one.shares)) {
      totals.set(value, (totals.get(value) ?? 0) + share);
    }
  }
  const kept = [...totals.entries()]
    .sort((a, b) => b[1] - a[1])
    .slice(0, MOST_SHARES)
    .map(([value]) => value);
  const windows = [...new Set(history.windows.map(one => windowLabel(one.start, unit)))];
  const values = history.windows.flatMap(one => {
    const shares = kept.map((value): [string, number] => [shown(value), one.shares[value] ?? 0]);
    const rest = 1 - shares.reduce((sum, [, share]) => sum + share, 0);
    return [...shares, ...(rest > 0.0005 ? [[OTHERS, rest] as [string, number]] : [])].map(
      ([value, share]) => ({
        window: windowLabel(one.start, unit),
        description: historyLabel(one.start, unit),
        value,
        share,
        shareText: percent(share)
      })
    );
  });
  const x = { field: 'window', type: 'ordinal', sort: windows, scale: { domain: windows }, title: null };
  const named = kept.map(shown);
  return {
    ...frame(colors),
    height: 150,
    data: { values },
    encoding: { x: { ...x, axis: windowAxis() } },
    layer: [
      {
        mark: { type: 'bar', cursor: 'pointer' },
        encoding: {
          y: {
            field: 'share',
            type: 'quantitative',
            title: null,
            axis: { format: '.0%', minExtent: 40 },
            scale: { domain: [0, 1] }
          },
          color: {
            field: 'value',
            type: 'nominal',
            title: null,
            sort: [...named, OTHERS],
            scale: { scheme: 'tableau10' },
            legend: {
              orient: 'top',
              labelLimit: 120,
              columns: { expr: `max(1, floor((${PLACE} - 60) / 140))` }
            }
          },
          description: { field: 'description' },
          tooltip: [
            { field: 'window', title: 'Window' },
            { field: 'value', title: 'Value' },
            { field: 'shareText', title: 'Share' }
          ]
        }
      },
      chosenRule(windowLabel(chosen, unit), x, colors)
    ]
  };
}

function chosenRule(window: string, x: PartialJSONObject, colors: ChartColors): PartialJSONObject {
  return {
    data: { values: [{ window }] },
    mark: { type: 'rule', strokeWidth: 2, color: colors.second },
    encoding: { x }
  };
}

/** An invisible bar for each window, which can be clicked wherever the bands are. */
function catcher(): PartialJSONObject {
  return {
    mark: { type: 'bar', fillOpacity: 0, opacity: 1, cursor: 'pointer' },
    encoding: {
      y: { value: 0 },
      y2: { value: 'height' },
      description: { field: 'description' },
      tooltip: [
        { field: 'window', title: 'Window' },
        { field: 'text', title: '5 · 25 · 50 · 75 · 95%' }
      ]
    }
  };
}

/** Numbers, times and sizes as people read them. */

import type { Accuracy, WindowUnit } from './types';

const NONE = '–';

/** A count with separators: `12,345`. */
export function count(value: number, locale?: string): string {
  return new Intl.NumberFormat(locale).format(value);
}

/** A count and its noun: `1 row`, `2 rows`. */
export function counted(value: number, noun: string, locale?: string): string {
  return `${count(value, locale)} ${noun}${value === 1 ? '' : 's'}`;
}

/** A share as a percentage: `83.4%`. */
export function percent(value: number | null | undefined, digits = 1): string {
  return value === null || value === undefined ? NONE : `${(100 * value).toFixed(digits)}%`;
}

/** A value to three significant digits, small ones as a power of ten. */
export function significant(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return NONE;
  }
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) {
    return value.toExponential(1);
  }
  return String(Number(value.toPrecision(3)));
}

/** A p value; below 0.001 the exact size says no more. */
export function pValue(value: number | null | undefined): string {
  return value !== null && value !== undefined && value < 0.001 ? '< 0.001' : significant(value);
}

/** A size in powers of 1000: `1.2 MB`. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = value < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  const scaled = value / 1000 ** power;
  return `${power === 0 ? scaled : scaled.toFixed(1)} ${units[power] ?? 'B'}`;
}

/** A value and its 95% interval, as percentages. */
export function interval(score: Pick<Accuracy, 'value' | 'low' | 'high'>): string {
  const bounds =
    score.low !== null && score.high !== null ? ` (${percent(score.low)} to ${percent(score.high)})` : '';
  return `${percent(score.value)}${bounds}`;
}

/** An instant in the reader's time zone; without its date when that is today. */
export function localTime(iso: string, now: Date = new Date(), locale?: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) {
    return iso;
  }
  const clock = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
  const today = time.toDateString() === now.toDateString();
  const day = { day: 'numeric', month: 'short', year: 'numeric' } as const;
  return new Intl.DateTimeFormat(
    locale,
    today ? clock : { ...day, hour: '2-digit', minute: '2-digit' }
  ).format(time);
}

/** An instant in UTC, as windows have it: `2013-03-01 00:00`. */
export function utcTime(iso: string): string {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? iso : time.toISOString().slice(0, 16).replace('T', ' ');
}

/** A length of time: `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(ms: number): string {
  if (ms < 1000) {
    return `${Math.round(ms)} ms`;
  }
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) {
    return `${seconds} s`;
  }
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * The name of a window. In UTC, since windows are cut there: in local time a month would start on the
 * evening before.
 */
export function windowLabel(start: string, unit: WindowUnit, locale?: string): string {
  const time = new Date(start);
  if (Number.isNaN(time.getTime())) {
    return start;
  }
  const parts: Record<WindowUnit, Intl.DateTimeFormatOptions> = {
    hour: { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' },
    day: { day: 'numeric', month: 'short', year: 'numeric' },
    week: { day: 'numeric', month: 'short', year: 'numeric' },
    month: { month: 'short', year: 'numeric' }
  };
  return new Intl.DateTimeFormat(locale, { ...parts[unit], timeZone: 'UTC' }).format(time);
}

/** A window in a sentence: `in Dec 2013`, `on 7 Jan 2013`, `in the week of 7 Jan 2013`. */
export function windowPlace(start: string, unit: WindowUnit, locale?: string): string {
  const before: Record<WindowUnit, string> = {
    hour: 'in the hour of',
    day: 'on',
    week: 'in the week of',
    month: 'in'
  };
  return `${before[unit]} ${windowLabel(start, unit, locale)}`;
}

/** The first few of many names: `wind, rain and 7 more`. */
export function enumerated(names: readonly string[], most = 5): string {
  const left = names.length - most;
  return names.slice(0, most).join(', ') + (left > 0 ? ` and ${count(left)} more` : '');
}

/** Any JSON value on one line, cut to `length`. */
export function inline(value: unknown, length = 80): string {
  if (value === null || value === undefined) {
    return NONE;
  }
  const list = Array.isArray(value) && value.every(item => typeof item !== 'object');
  const text = typeof value === 'string' ? value : list ? value.join(', ') : JSON.stringify(value);
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/** The last part of a path. */
export function basename(path: string): string {
  return path.split('/').pop() ?? path;
}

/** A text with a capital and a full stop. */
export function sentence(text: string): string {
  const full = /[.!?]$/.test(text) ? text : `${text}.`;
  return full.charAt(0).toUpperCase() + full.slice(1);
}

/** `shadow_errors` as words: `shadow errors`. */
export function words(name: string): string {
  return name.replaceAll('_', ' ');
}

/** A gain with its sign: in points (hundredths) of a share, `+1.2`, or as it is, `+0.31`. */
export function gain(value: number, share: boolean): string {
  const sign = value > 0 ? '+' : value < 0 ? '−' : '±';
  const size = Math.abs(value);
  return share ? `${sign}${(100 * size).toFixed(1)}` : `${sign}${significant(size)}`;
}

/** The names and values of a JSON object, inner objects taken apart: `needed numpy`. */
export function flat(value: Record<string, unknown>): [name: string, value: unknown][] {
  return Object.entries(value).flatMap(([name, inner]): [string, unknown][] =>
    isObject(inner)
      ? Object.entries(inner).map(([key, item]) => [`${words(name)} ${key}`, item])
      : [[words(name), inner]]
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

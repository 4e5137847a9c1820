import type { JSX } from 'react';
import { windowLabel } from '../format';
import type { WindowUnit } from '../types';

/** A window by its name, on one line. */
export function WindowName({ start, unit }: { start: string; unit: WindowUnit }): JSX.Element {
  return <time dateTime={start}>{windowLabel(start, unit)}</time>;
}

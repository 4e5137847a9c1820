import type { JSX } from 'react';
import { localTime } from '../format';

/** An instant in local time; its UTC form on hover and for machines. */
export function Time({ iso }: { iso: string | null }): JSX.Element {
  return iso ? (
    <time dateTime={iso} title={iso}>
      {localTime(iso)}
    </time>
  ) : (
    <span>–</span>
  );
}

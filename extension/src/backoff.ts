const FIRST_MS = 500;
const LONGEST_MS = 15_000;

/**
 * How long to wait before the next attempt.
 *
 * @param failures - how many attempts have failed in a row
 * @param random - a number from 0 to 1: half of the time is spread, so that many pages do not return at once
 */
export function backoffMs(failures: number, random: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.max(0, failures - 1));
  return full / 2 + (full / 2) * random;
}

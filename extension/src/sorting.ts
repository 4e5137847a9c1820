/** Sorting rows of tables. */

export type SortKey = number | string | null | undefined;

export interface Order {
  /** The index of the table's column. */
  column: number;
  descending: boolean;
}

/** The rows by a key; what has none comes last either way, and equal rows keep their order. */
export function sorted<T>(rows: readonly T[], key: (row: T) => SortKey, descending: boolean): T[] {
  const sign = descending ? -1 : 1;
  return rows
    .map(row => ({ row, key: key(row) ?? null }))
    .sort((a, b) => {
      if (a.key === null || b.key === null) {
        return Number(a.key === null) - Number(b.key === null);
      }
      if (typeof a.key === 'number' && typeof b.key === 'number') {
        return sign * (a.key - b.key);
      }
      return sign * String(a.key).localeCompare(String(b.key));
    })
    .map(entry => entry.row);
}

/** The rows whose name has every word of the search, in any order. */
export function matching<T>(rows: readonly T[], name: (row: T) => string, search: string): readonly T[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return words.length === 0
    ? rows
    : rows.filter(row => {
        const text = name(row).toLowerCase();
        return words.every(word => text.includes(word));
      });
}

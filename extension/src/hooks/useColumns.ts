import { useMemo, useState } from 'react';
import { matching } from '../sorting';

export interface Columns<T> {
  search: string;
  setSearch: (search: string) => void;
  /** Those that the search finds. */
  found: readonly T[];
  /** The one that is shown: the chosen one, else the first that was found. */
  current: T | undefined;
  choose: (column: string) => void;
}

/**
 * Columns that are searched, and of which one is shown.
 *
 * @param all - must be stable (`useMemo`)
 * @param name - must be stable
 */
export function useColumns<T>(all: readonly T[], name: (one: T) => string): Columns<T> {
  const [search, setSearch] = useState('');
  const [chosen, choose] = useState<string | null>(null);
  const found = useMemo(() => matching(all, name, search), [all, name, search]);
  const current = all.find(one => name(one) === chosen) ?? found[0] ?? all[0];
  return { search, setSearch, found, current, choose };
}

import { InputGroup } from '@jupyterlab/ui-components';
import type { JSX } from 'react';
import { counted } from '../format';

interface Props {
  /** What is searched: `column`. */
  what: string;
  search: string;
  change: (search: string) => void;
  found: number;
  total: number;
}

/** A search in a list that is too long to be read, and how much of it is left. */
export function SearchBox({ what, search, change, found, total }: Props): JSX.Element {
  return (
    <div className="taxiway-search">
      <InputGroup
        type="search"
        rightIcon="ui-components:search"
        placeholder={`Search ${counted(total, what)}`}
        aria-label={`Search ${what}s`}
        value={search}
        onChange={event => {
          change(event.currentTarget.value);
        }}
      />
      <span className="taxiway-note" role="status">
        {search === '' ? '' : `${counted(found, what)} found`}
      </span>
    </div>
  );
}

import { Button } from '@jupyterlab/ui-components';
import { type JSX, type ReactNode, useState } from 'react';
import { count } from '../format';

interface Props<T> {
  items: readonly T[];
  limit: number;
  render: (item: T) => ReactNode;
}

/** A list of which the first `limit` are shown until more are asked for. */
export function BoundedList<T>({ items, limit, render }: Props<T>): JSX.Element {
  const [shown, setShown] = useState(limit);
  const left = items.length - shown;
  return (
    <>
      <ul className="taxiway-list">{items.slice(0, shown).map(render)}</ul>
      {left > 0 ? (
        <Button
          minimal
          small
          className="taxiway-more"
          onClick={() => {
            setShown(shown + 5 * limit);
          }}
        >
          {`Show more (${count(left)} left)`}
        </Button>
      ) : null}
    </>
  );
}

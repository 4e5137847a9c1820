import { caretDownIcon, caretRightIcon } from '@jupyterlab/ui-components';
import { type JSX, type ReactNode, useId, useState } from 'react';
import { count } from '../format';

interface Props {
  title: string;
  /** How many there are, and how many of them want attention. */
  total: number;
  urgent?: number;
  children: ReactNode;
}

/** A part of the panel that folds. */
export function Section({ title, total, urgent = 0, children }: Props): JSX.Element {
  const [open, setOpen] = useState(true);
  const id = useId();
  const Caret = open ? caretDownIcon : caretRightIcon;
  return (
    <section className="taxiway-section">
      <h3>
        <button
          type="button"
          className="taxiway-section-title"
          aria-expanded={open}
          aria-controls={id}
          onClick={() => {
            setOpen(!open);
          }}
        >
          <Caret.react tag="span" width={16} />
          <span className="taxiway-grow">{title}</span>
          {urgent > 0 ? (
            <span className="taxiway-count taxiway-tone-bad" title={`${urgent} open`}>
              {count(urgent)}
            </span>
          ) : (
            <span className="taxiway-count">{count(total)}</span>
          )}
        </button>
      </h3>
      <div id={id} hidden={!open}>
        {children}
      </div>
    </section>
  );
}

import { type JSX, type ReactNode, useId } from 'react';

/** One titled part of a view. */
export function Card({
  title,
  note,
  children
}: {
  title: string;
  note?: string;
  children: ReactNode;
}): JSX.Element {
  const id = useId();
  return (
    <section className="taxiway-card" aria-labelledby={id}>
      <h2 id={id}>
        {title} {note ? <small>{note}</small> : null}
      </h2>
      {children}
    </section>
  );
}

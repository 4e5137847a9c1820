import type { JSX, ReactNode } from 'react';

export type Fact = readonly [name: string, value: ReactNode];

/** Names and values, side by side. */
export function Facts({ facts }: { facts: readonly Fact[] }): JSX.Element {
  return (
    <dl className="taxiway-facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

import type { JSX } from 'react';

export type Tone = 'good' | 'warn' | 'bad' | 'busy' | 'plain';

/** A state in a word; the tone colours it and is never the only sign. */
export function Badge({ tone, text, title }: { tone: Tone; text: string; title?: string }): JSX.Element {
  return (
    <span className={`taxiway-badge taxiway-tone-${tone}`} title={title}>
      {text}
    </span>
  );
}

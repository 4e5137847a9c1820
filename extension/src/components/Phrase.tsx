import type { JSX } from 'react';

/** A sentence in which `names` between backticks are set as code. */
export function Phrase({ text }: { text: string }): JSX.Element {
  return (
    <>{text.split('`').map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>
  );
}

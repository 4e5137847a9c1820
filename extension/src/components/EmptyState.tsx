import type { JSX, ReactNode } from 'react';

/** What a place says when there is nothing yet: the next step. */
export function EmptyState({ children, code }: { children: ReactNode; code?: string }): JSX.Element {
  return (
    <div className="taxiway-empty">
      <p>{children}</p>
      {code === undefined ? null : (
        <pre tabIndex={0}>
          <code>{code}</code>
        </pre>
      )}
    </div>
  );
}

import type { JSX } from 'react';
import { CommandIds } from '../commandIds';
import { useServices } from '../services';

/** A Model's `name:version`; opens the Model. */
export function ModelLink({ tag }: { tag: string | null }): JSX.Element {
  const { commands } = useServices();
  if (tag === null) {
    return <span>none</span>;
  }
  return (
    <button
      type="button"
      className="taxiway-link"
      title={`Open Model ${tag}`}
      onClick={() => void commands.execute(CommandIds.openModel, { tag })}
    >
      {tag}
    </button>
  );
}

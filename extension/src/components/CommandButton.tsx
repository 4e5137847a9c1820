import { Button } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { JSX } from 'react';
import { useServices } from '../services';

interface Props {
  command: string;
  args?: ReadonlyPartialJSONObject;
  text: string;
  title: string;
  disabled?: boolean;
}

/** A button that runs a command. */
export function CommandButton({ command, args, text, title, disabled }: Props): JSX.Element {
  const { commands } = useServices();
  return (
    <Button small title={title} disabled={disabled} onClick={() => void commands.execute(command, args)}>
      {text}
    </Button>
  );
}

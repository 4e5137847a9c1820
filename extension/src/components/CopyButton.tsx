import { Clipboard } from '@jupyterlab/apputils';
import { Button, checkIcon, copyIcon } from '@jupyterlab/ui-components';
import { type JSX, useEffect, useState } from 'react';

const SHOWN_MS = 2000;

/** Copies a text, and shows for two seconds that it did. */
export function CopyButton({ text, what }: { text: string; what: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => {
      setCopied(false);
    }, SHOWN_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [copied]);
  const icon = copied ? checkIcon : copyIcon;
  return (
    <Button
      minimal
      small
      title={`Copy ${what}`}
      aria-label={copied ? 'Copied' : `Copy ${what}`}
      onClick={() => {
        Clipboard.copyToSystem(text);
        setCopied(true);
      }}
    >
      <icon.react tag="span" width={14} />
    </Button>
  );
}

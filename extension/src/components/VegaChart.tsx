import { MimeModel } from '@jupyterlab/rendermime';
import type { PartialJSONObject } from '@lumino/coreutils';
import { type JSX, useEffect, useRef, useState } from 'react';
import { PLACE } from '../charts';
import { useServices } from '../services';

const MIME = 'application/vnd.vegalite.v5+json';
const SETTLE_MS = 100;

interface Props {
  spec: PartialJSONObject;
  /** What a screen reader says in place of the picture. */
  label: string;
  /** Told the `description` of the mark that was clicked. */
  onSelect?: (description: string) => void;
}

/** A Vega-Lite chart as wide as its place, drawn by JupyterLab's own renderer. */
export function VegaChart({ spec, label, onSelect }: Props): JSX.Element {
  const { rendermime } = useServices();
  const host = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const text = JSON.stringify(spec);

  useEffect(() => {
    const node = host.current;
    if (!node) {
      return;
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const observer = new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        setWidth(Math.floor(node.clientWidth));
      }, SETTLE_MS);
    });
    observer.observe(node);
    return () => {
      clearTimeout(timer);
      observer.disconnect();
    };
  }, []);

  useEffect(() => {
    const node = host.current;
    if (!node || width === 0 || !rendermime.mimeTypes.includes(MIME)) {
      return;
    }
    const params = [{ name: PLACE, value: width }];
    const data = { [MIME]: { ...(JSON.parse(text) as PartialJSONObject), params, width } };
    const metadata = { [MIME]: { embed_options: { actions: false, renderer: 'svg' } } };
    const renderer = rendermime.createRenderer(MIME);
    let stale = false;
    // Drawn aside and then swapped in, so that a live chart does not flicker.
    renderer.renderModel(new MimeModel({ data, metadata, trusted: true })).then(
      () => {
        if (!stale) {
          // Not attached as a widget: React may take the place away first, and detaching would throw then.
          node.replaceChildren(renderer.node);
        }
      },
      (error: unknown) => {
        node.textContent = `The chart could not be drawn: ${String(error)}. Its table has the same figures.`;
      }
    );
    return () => {
      stale = true;
      setTimeout(() => {
        renderer.dispose();
      }, SETTLE_MS * 5);
    };
  }, [text, width, rendermime]);

  return (
    <div
      ref={host}
      className="taxiway-chart"
      role="img"
      aria-label={label}
      onClick={event => {
        // Vega writes a mark's description down as the label of its shape.
        const shape = event.target instanceof Element ? event.target.closest('svg [aria-label]') : null;
        const description = shape?.getAttribute('aria-label');
        if (description) {
          onSelect?.(description);
        }
      }}
    />
  );
}

import { MimeModel } from '@jupyterlab/rendermime';
import type { PartialJSONObject } from '@lumino/coreutils';
import { type JSX, useEffect, useRef, useState } from 'react';
import { type Cells, cellAfter, firstCell } from '../cells';
import { PLACE } from '../charts';
import { useServices } from '../services';

const MIME = 'application/vnd.vegalite.v5+json';
const SETTLE_MS = 100;

interface Props {
  spec: PartialJSONObject;
  /** What a screen reader says in place of the picture. */
  label: string;
  /** Told the `description` of the mark that was clicked, or pressed by keyboard. */
  onSelect?: (description: string) => void;
  /** The descriptions of the marks that can be chosen, as they stand; the arrow keys move over them. */
  cells?: Cells;
  /** The one that is chosen. */
  current?: string | null;
}

const NO_CELLS: Cells = [];

/** A Vega-Lite chart as wide as its place, drawn by JupyterLab's own renderer. */
export function VegaChart({ spec, label, onSelect, cells = NO_CELLS, current = null }: Props): JSX.Element {
  const { rendermime } = useServices();
  const host = useRef<HTMLDivElement>(null);
  const [drawn, setDrawn] = useState(0);
  const reached = useRef<string | null>(null);
  const refocus = useRef(false);
  const known = JSON.stringify(cells);
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
          const focused = node.contains(document.activeElement);
          node.replaceChildren(renderer.node);
          refocus.current = focused;
          setDrawn(previous => previous + 1);
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

  useEffect(() => {
    const shapes = shapesOf(host.current, JSON.parse(known) as Cells);
    for (const [description, shape] of shapes) {
      shape.setAttribute('role', 'button');
      shape.setAttribute('aria-pressed', String(description === current));
    }
    const start = [reached.current, current, firstCell(JSON.parse(known) as Cells)];
    reach(shapes, start.find(one => one !== null && shapes.has(one)) ?? null, refocus.current);
    refocus.current = false;
  }, [drawn, known, current]);

  const pressed = (event: KeyboardEvent): void => {
    const from = event.target instanceof Element ? event.target.getAttribute('aria-label') : null;
    if (from === null || !cells.flat().includes(from) || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    const chooses = event.key === 'Enter' || event.key === ' ';
    const next = chooses ? from : cellAfter(cells, from, event.key);
    if (next === null) {
      return;
    }
    event.preventDefault();
    reached.current = next;
    if (chooses) {
      onSelect?.(next);
    } else {
      reach(shapesOf(host.current, cells), next, true);
    }
  };

  return (
    <div
      ref={host}
      className="taxiway-chart"
      role={cells.length > 0 ? 'group' : 'img'}
      aria-label={label}
      // In a notebook the arrow keys would choose another cell of it.
      data-lm-suppress-shortcuts={cells.length > 0 ? true : undefined}
      onKeyDown={event => {
        pressed(event.nativeEvent);
      }}
      onClick={event => {
        // Vega writes a mark's description down as the label of its shape.
        const shape = event.target instanceof Element ? event.target.closest('svg [aria-label]') : null;
        const description = shape?.getAttribute('aria-label');
        if (description) {
          reached.current = description;
          onSelect?.(description);
        }
      }}
    />
  );
}

/** The shapes of the cells in a drawn chart, each by its description; the first where it has several. */
function shapesOf(node: HTMLElement | null, cells: Cells): Map<string, SVGElement> {
  const wanted = new Set(cells.flat());
  const shapes = new Map<string, SVGElement>();
  for (const shape of node?.querySelectorAll<SVGElement>('svg [aria-label]') ?? []) {
    const description = shape.getAttribute('aria-label') ?? '';
    if (wanted.has(description) && !shapes.has(description)) {
      shapes.set(description, shape);
    }
  }
  return shapes;
}

/** Make one cell the one that the Tab key leads to. */
function reach(shapes: Map<string, SVGElement>, description: string | null, focus: boolean): void {
  for (const [one, shape] of shapes) {
    shape.setAttribute('tabindex', one === description ? '0' : '-1');
  }
  if (focus && description !== null) {
    shapes.get(description)?.focus();
  }
}

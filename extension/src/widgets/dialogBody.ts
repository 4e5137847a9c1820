import { Widget } from '@lumino/widgets';

/** Sentences as paragraphs of a dialog. */
export function dialogBody(paragraphs: readonly string[]): Widget {
  const node = document.createElement('div');
  node.className = 'taxiway taxiway-dialog';
  for (const text of paragraphs) {
    const paragraph = document.createElement('p');
    paragraph.textContent = text;
    node.append(paragraph);
  }
  return new Widget({ node });
}

/** Server-sent events, as the HTML standard has them, from the text of a response body. */

export interface ServerSentEvent {
  name: string;
  data: string;
}

/** Takes text in pieces of any size and gives the events that are complete. */
export class EventParser {
  push(text: string): ServerSentEvent[] {
    this.rest += text;
    const blocks = this.rest.split(/\r?\n\r?\n/);
    this.rest = blocks.pop() ?? '';
    return blocks.map(parseBlock).filter(event => event !== null);
  }

  private rest = '';
}

function parseBlock(block: string): ServerSentEvent | null {
  let name = 'message';
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === 'event' && value) {
      name = value;
    } else if (field === 'data') {
      data.push(value ?? '');
    }
  }
  return data.length > 0 ? { name, data: data.join('\n') } : null;
}

import { type ISignal, Signal } from '@lumino/signaling';

/** A column of an endpoint in one window. */
export interface Selection {
  column: string;
  /** When the window starts. */
  window: string;
  model: string | null;
}

/** Which column is looked at in each endpoint's tab. */
export class Selections {
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  of(endpoint: string): Selection | null {
    return this.selected.get(endpoint) ?? null;
  }

  select(endpoint: string, selection: Selection | null): void {
    if (selection) {
      this.selected.set(endpoint, selection);
    } else {
      this.selected.delete(endpoint);
    }
    this._changed.emit();
  }

  private readonly selected = new Map<string, Selection>();
  private readonly _changed = new Signal<this, void>(this);
}

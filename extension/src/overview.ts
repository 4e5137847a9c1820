import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import { type Api, describe } from './api';
import { backoffMs } from './backoff';
import type { Failure, Overview } from './types';

export interface OverviewState {
  /** The newest overview; kept, if old, while the line is lost. */
  overview: Overview | null;
  connection: 'connecting' | 'live' | 'lost';
  /** Why there is no line, or why the server could not read its state. */
  failure: Failure | null;
  /** When the overview came. */
  received: Date | null;
}

/** The server's overview, live: follows the event stream and takes it up again when it breaks. */
export class OverviewStore implements IDisposable {
  constructor(private readonly api: Api) {
    void this.follow();
  }

  /** Emitted when `state` has been replaced. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get state(): OverviewState {
    return this._state;
  }

  get isDisposed(): boolean {
    return this.stop.signal.aborted;
  }

  /** Try again now instead of when the wait is over. */
  reconnect(): void {
    this.wake();
  }

  dispose(): void {
    if (!this.isDisposed) {
      this.stop.abort();
      this.wake();
      Signal.clearData(this);
    }
  }

  private async follow(): Promise<void> {
    let failures = 0;
    for (;;) {
      let failure: Failure = { error: 'The event stream ended.', hint: '' };
      try {
        for await (const event of this.api.events(this.stop.signal)) {
          failures = 0;
          this.receive(event.name, event.data);
        }
      } catch (error) {
        failure = describe(error);
      }
      if (this.isDisposed) {
        return;
      }
      failures += 1;
      this.update({ connection: 'lost', failure });
      await this.pause(backoffMs(failures, Math.random()));
    }
  }

  private receive(name: string, data: string): void {
    if (name === 'overview') {
      const overview = JSON.parse(data) as Overview;
      this.update({ overview, connection: 'live', failure: null, received: new Date() });
    } else if (name === 'failure') {
      this.update({ connection: 'live', failure: JSON.parse(data) as Failure });
    }
  }

  private update(change: Partial<OverviewState>): void {
    this._state = { ...this._state, ...change };
    this._changed.emit();
  }

  private pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private _state: OverviewState = { overview: null, connection: 'connecting', failure: null, received: null };
  private readonly _changed = new Signal<this, void>(this);
  private readonly stop = new AbortController();
  private wake: () => void = () => undefined;
}

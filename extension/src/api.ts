import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { EventParser, type ServerSentEvent } from './sse';
import type { ColumnDetail, ColumnHistory, Comparison, Profile, ProfileSource } from './profiles/types';
import type { EndpointDetail, Failure, ModelDetail, PreflightRun } from './types';

/** The server pings every 15 seconds; a line that is silent for three pings is dead. */
const SILENCE_MS = 45_000;

/** What the server answered when it could not do what it was asked. */
export class RequestFailure extends Error {
  constructor(
    failure: Failure,
    readonly status: number
  ) {
    super(failure.error);
    this.hint = failure.hint;
  }

  readonly hint: string;
}

/** Any error as the two sentences that the user is shown. */
export function describe(error: unknown): Failure {
  if (error instanceof RequestFailure) {
    return { error: error.message, hint: error.hint };
  }
  if (error instanceof ServerConnection.NetworkError) {
    return { error: 'The Jupyter server cannot be reached.', hint: 'Check that it is running.' };
  }
  return { error: error instanceof Error ? error.message : String(error), hint: '' };
}

/** The routes of the Taxiway server extension. */
export class Api {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  endpoint(name: string): Promise<EndpointDetail> {
    return this.get<EndpointDetail>(['endpoints', name]);
  }

  /** A column's distribution in one window over the reference. */
  column(endpoint: string, column: string, window: string, model: string | null): Promise<ColumnDetail> {
    const query = { window, ...(model === null ? {} : { model }) };
    return this.get<ColumnDetail>(['endpoints', endpoint, 'columns', column], query);
  }

  /** A column's quantiles, or its categories' shares, in every window. */
  columnHistory(endpoint: string, column: string): Promise<ColumnHistory> {
    return this.get<ColumnHistory>(['endpoints', endpoint, 'columns', column, 'history']);
  }

  /** Have what reads profiles ready. */
  async prepareProfiles(): Promise<void> {
    await this.request({}, 'profiles', 'ready');
  }

  /** What is in the whylogs profile at a contents path. */
  profile(path: string): Promise<Profile> {
    return this.get<Profile>(['profiles'], { path });
  }

  /** Two profiles side by side; the left one is a file or the reference of a Model. */
  comparison(left: ProfileSource, right: string): Promise<Comparison> {
    const query: Record<string, string> =
      left.kind === 'file' ? { left: left.path, right } : { model: left.tag, right };
    return this.get<Comparison>(['profiles', 'comparison'], query);
  }

  model(tag: string): Promise<ModelDetail> {
    return this.get<ModelDetail>(['models', ...tag.split(':', 2)]);
  }

  /** How far the last preflight is that was started here. */
  preflight(tag: string): Promise<PreflightRun> {
    return this.preflightOf(tag, 'GET');
  }

  /** Starts a preflight, or joins the one that runs. */
  startPreflight(tag: string): Promise<PreflightRun> {
    return this.preflightOf(tag, 'POST');
  }

  cancelPreflight(tag: string): Promise<PreflightRun> {
    return this.preflightOf(tag, 'DELETE');
  }

  /** With `force` the shadow is promoted against its verdict, which is recorded. */
  promote(endpoint: string, force: boolean): Promise<void> {
    return this.post({ force }, 'endpoints', endpoint, 'promote');
  }

  rollback(endpoint: string): Promise<void> {
    return this.post({}, 'endpoints', endpoint, 'rollback');
  }

  startShadow(endpoint: string, model: string): Promise<void> {
    return this.post({ model }, 'endpoints', endpoint, 'shadow');
  }

  stopShadow(endpoint: string): Promise<void> {
    return this.post({}, 'endpoints', endpoint, 'shadow', 'stop');
  }

  acknowledge(alert: number): Promise<void> {
    return this.post({}, 'alerts', String(alert), 'acknowledge');
  }

  /** Nobody is told of it for so long. */
  silence(alert: number, seconds: number): Promise<void> {
    return this.post({ seconds }, 'alerts', String(alert), 'silence');
  }

  /** Silences of more go on. */
  async unsilence(alert: number): Promise<void> {
    await this.request({ method: 'DELETE' }, 'alerts', String(alert), 'silence');
  }

  startAgent(): Promise<void> {
    return this.post({}, 'agent', 'start');
  }

  stopAgent(): Promise<void> {
    return this.post({}, 'agent', 'stop');
  }

  /**
   * The events of the server, until the line breaks or `stop` is aborted.
   *
   * Not an `EventSource`, which can neither send the token nor tell a refusal from a lost line.
   */
  async *events(stop: AbortSignal): AsyncGenerator<ServerSentEvent, void> {
    const silent = new AbortController();
    const response = await this.request(
      { cache: 'no-store', signal: AbortSignal.any([stop, silent.signal]) },
      'stream'
    );
    if (!response.body) {
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      for (;;) {
        timer = setTimeout(() => {
          silent.abort();
        }, SILENCE_MS);
        const { done, value } = await reader.read();
        clearTimeout(timer);
        if (done) {
          return;
        }
        yield* parser.push(value);
      }
    } finally {
      clearTimeout(timer);
      silent.abort();
    }
  }

  private async preflightOf(tag: string, method: 'GET' | 'POST' | 'DELETE'): Promise<PreflightRun> {
    const response = await this.request({ method }, 'models', ...tag.split(':', 2), 'preflight');
    return (await response.json()) as PreflightRun;
  }

  private async get<T>(path: string[], query: Record<string, string> = {}): Promise<T> {
    const response = await this.send({}, path, query);
    return (await response.json()) as T;
  }

  private async post(body: object, ...path: string[]): Promise<void> {
    await this.request({ method: 'POST', body: JSON.stringify(body) }, ...path);
  }

  private request(init: RequestInit, ...path: string[]): Promise<Response> {
    return this.send(init, path, {});
  }

  private async send(init: RequestInit, path: string[], query: Record<string, string>): Promise<Response> {
    const place = URLExt.join(this.settings.baseUrl, 'taxiway', 'api', ...path.map(encodeURIComponent));
    const url = place + URLExt.objectToQueryString(query);
    const response = await ServerConnection.makeRequest(url, init, this.settings);
    if (!response.ok) {
      throw new RequestFailure(await failureOf(response), response.status);
    }
    return response;
  }
}

async function failureOf(response: Response): Promise<Failure> {
  try {
    const body = (await response.json()) as Partial<Failure> & { message?: string };
    const error = body.error ?? body.message;
    if (error) {
      return { error, hint: body.hint ?? '' };
    }
  } catch {
    // A proxy's page is no JSON: the status says all that is known.
  }
  const missing = response.status === 404;
  return {
    error: missing
      ? 'This Jupyter server does not run the Taxiway extension.'
      : `The Jupyter server answered ${response.status} ${response.statusText}.`,
    hint: missing ? 'Run `jupyter server extension enable taxiway` and start the server again.' : ''
  };
}

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { CommandIds } from '../commandIds';
import {
  type Confirmation,
  confirmPromote,
  confirmRollback,
  confirmStopAgent,
  confirmStopShadow
} from '../confirmations';
import { choose, confirmed, sentences, told } from '../prompts';
import { IServices, type Services } from '../services';
import type { EndpointDetail, EndpointSummary } from '../types';

/** What changes something in production: each asks first and tells how it went. */
export const endpointActions: JupyterFrontEndPlugin<void> = {
  id: 'taxiway:actions',
  description: 'Promote, roll back, shadow, acknowledge; start and stop the agent.',
  autoStart: true,
  requires: [IServices],
  optional: [ICommandPalette],
  activate: (app: JupyterFrontEnd, services: Services, palette: ICommandPalette | null): void => {
    const add = (command: string, label: string, execute: (args: Args) => Promise<void>): void => {
      app.commands.addCommand(command, {
        label,
        execute: async args => {
          try {
            await execute(args);
          } catch (error) {
            Notification.error(sentences(error), { autoClose: false });
          }
        }
      });
      if (!OF_ONE_ALERT.has(command)) {
        palette?.addItem({ command, category: 'Taxiway' });
      }
    };
    add(CommandIds.promote, 'Promote the Shadow of an Endpoint', args => promote(services, args));
    add(CommandIds.rollback, 'Roll an Endpoint Back', args => rollback(services, args));
    add(CommandIds.startShadow, 'Start a Shadow on an Endpoint', args => startShadow(services, args));
    add(CommandIds.stopShadow, 'Stop the Shadow of an Endpoint', args => stopShadow(services, args));
    add(CommandIds.acknowledge, 'Acknowledge an Alert', args => acknowledge(services, args));
    add(CommandIds.silence, 'Silence an Alert', args => silence(services, args));
    add(CommandIds.unsilence, 'End the Silence of an Alert', args => unsilence(services, args));
    add(CommandIds.startAgent, 'Start the Agent', () => startAgent(services));
    add(CommandIds.stopAgent, 'Stop the Agent', () => stopAgent(services));
  }
};

/** What makes no sense without an alert that it is about. */
const OF_ONE_ALERT = new Set<string>([CommandIds.acknowledge, CommandIds.silence, CommandIds.unsilence]);

type Args = ReadonlyPartialJSONObject;

async function promote({ api, store }: Services, args: Args): Promise<void> {
  const endpoint = await endpointOf({ api, store }, args, 'Promote the shadow of', hasShadow);
  if (!endpoint) {
    return;
  }
  const force = endpoint.shadow_report?.verdict !== 'promote';
  await ask(confirmPromote(endpoint, endpoint.shadow_report), () =>
    told(
      api.promote(endpoint.name, force),
      `Promoting ${endpoint.shadow ?? ''}…`,
      `Promoted ${endpoint.shadow ?? ''}.`
    )
  );
}

async function rollback({ api, store }: Services, args: Args): Promise<void> {
  const endpoint = await endpointOf({ api, store }, args, 'Roll back', () => true);
  if (endpoint) {
    await ask(confirmRollback(endpoint), () =>
      told(api.rollback(endpoint.name), `Rolling ${endpoint.name} back…`, `Rolled ${endpoint.name} back.`)
    );
  }
}

async function startShadow({ api, store }: Services, args: Args): Promise<void> {
  const endpoint = await endpointOf({ api, store }, args, 'Start a shadow on', () => true);
  if (!endpoint) {
    return;
  }
  const models = store.state.overview?.models ?? [];
  const candidates = models.map(model => model.tag).filter(tag => tag !== endpoint.live);
  const tag = await choose(`Which Model shall shadow ${endpoint.name}?`, candidates);
  if (tag !== null) {
    await told(
      api.startShadow(endpoint.name, tag),
      `Starting ${tag} in the shadow…`,
      `${tag} shadows ${endpoint.name}.`
    );
  }
}

async function stopShadow({ api, store }: Services, args: Args): Promise<void> {
  const endpoint = await endpointOf({ api, store }, args, 'Stop the shadow of', hasShadow);
  if (endpoint) {
    await ask(confirmStopShadow(endpoint), () =>
      told(
        api.stopShadow(endpoint.name),
        'Stopping the shadow…',
        `The shadow of ${endpoint.name} is stopped.`
      )
    );
  }
}

async function acknowledge({ api }: Services, args: Args): Promise<void> {
  if (typeof args.id === 'number') {
    await api.acknowledge(args.id);
  }
}

async function silence({ api }: Services, args: Args): Promise<void> {
  if (typeof args.id === 'number' && typeof args.seconds === 'number') {
    await told(api.silence(args.id, args.seconds), 'Silencing the alert…', 'Nobody is told of it meanwhile.');
  }
}

async function unsilence({ api }: Services, args: Args): Promise<void> {
  if (typeof args.id === 'number') {
    await told(api.unsilence(args.id), 'Ending the silence…', 'The silence of this alert alone is over.');
  }
}

async function startAgent({ api }: Services): Promise<void> {
  await told(api.startAgent(), 'Starting the agent…', 'The agent runs.');
}

async function stopAgent({ api, store }: Services): Promise<void> {
  const endpoints = store.state.overview?.endpoints.filter(endpoint => endpoint.backend === 'local') ?? [];
  await ask(confirmStopAgent(endpoints.length), () =>
    told(api.stopAgent(), 'Stopping the agent…', 'The agent is stopped.')
  );
}

async function ask(confirmation: Confirmation, act: () => Promise<void>): Promise<void> {
  if (await confirmed(confirmation)) {
    await act();
  }
}

function hasShadow(endpoint: EndpointSummary): boolean {
  return endpoint.shadow !== null;
}

async function endpointOf(
  { api, store }: Pick<Services, 'api' | 'store'>,
  args: Args,
  title: string,
  fits: (endpoint: EndpointSummary) => boolean
): Promise<EndpointDetail | null> {
  const names = (store.state.overview?.endpoints ?? []).filter(fits).map(endpoint => endpoint.name);
  const name = typeof args.endpoint === 'string' ? args.endpoint : await choose(`${title}…`, names);
  return name === null ? null : api.endpoint(name);
}

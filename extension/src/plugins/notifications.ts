import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { mark, untold } from '../alerts';
import { CommandIds } from '../commandIds';
import { counted } from '../format';
import { IServices, type Services } from '../services';
import type { Alert, Overview } from '../types';

const ID = 'taxiway:notifications';
/** More at once are told in one sentence. */
const MOST = 3;
const KEPT = 500;
const SHOWN_MS = 10_000;

/** Tells of each alert that begins to fire: once, whatever is loaded again; can be turned off. */
export const notifications: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Notifies of alerts that begin to fire.',
  autoStart: true,
  requires: [IServices],
  optional: [ISettingRegistry],
  activate: (app: JupyterFrontEnd, services: Services, registry: ISettingRegistry | null): void => {
    let on = true;
    const look = (): void => {
      const { overview } = services.store.state;
      if (overview) {
        tell(app, overview, on);
      }
    };
    const listen = (): void => {
      services.store.changed.connect(look);
      look();
    };
    if (!registry) {
      listen();
      return;
    }
    registry
      .load(ID)
      .then(settings => {
        const read = (): void => {
          on = settings.get('notify').composite !== false;
        };
        settings.changed.connect(read);
        read();
      })
      .catch(() => {
        // Without its schema the default holds.
      })
      .finally(listen);
  }
};

function tell(app: JupyterFrontEnd, overview: Overview, on: boolean): void {
  const key = `taxiway:told:${app.serviceManager.serverSettings.baseUrl}:${overview.home}`;
  const told = read(key);
  const fresh = untold(overview.alerts, new Set(told));
  if (fresh.length === 0) {
    return;
  }
  // What is not told because it is turned off is not told later either.
  write(key, [...told, ...fresh.map(mark)].slice(-KEPT));
  if (!on) {
    return;
  }
  if (fresh.length > MOST) {
    Notification.warning(`${counted(fresh.length, 'alert')} are firing.`, {
      autoClose: SHOWN_MS,
      actions: [{ label: 'Show', callback: () => void app.commands.execute(CommandIds.openPanel) }]
    });
    return;
  }
  for (const alert of fresh) {
    notify(app, alert);
  }
}

const TYPES = { info: 'info', warning: 'warning', critical: 'error' } as const;

function notify(app: JupyterFrontEnd, alert: Alert): void {
  const { endpoint: name, column, window_start: window } = alert;
  const args = { name, ...(column && window ? { column, window } : {}) };
  Notification.emit(alert.title.replaceAll('`', ''), TYPES[alert.severity], {
    autoClose: alert.severity === 'critical' ? false : SHOWN_MS,
    actions: [
      { label: 'Show', callback: () => void app.commands.execute(CommandIds.openEndpoint, args) },
      {
        label: 'Acknowledge',
        callback: () => void app.commands.execute(CommandIds.acknowledge, { id: alert.id })
      }
    ]
  });
}

function read(key: string): string[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? '[]');
    return Array.isArray(found) ? found.filter(one => typeof one === 'string') : [];
  } catch {
    return [];
  }
}

function write(key: string, told: string[]): void {
  try {
    localStorage.setItem(key, JSON.stringify(told));
  } catch {
    // A browser that keeps nothing tells again after a reload.
  }
}

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IThemeManager } from '@jupyterlab/apputils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { Api } from '../api';
import { OverviewStore } from '../overview';
import { Selections } from '../selections';
import { IServices, type Services } from '../services';

/** The one connection to the server that all views share. */
export const services: JupyterFrontEndPlugin<Services> = {
  id: 'taxiway:services',
  description: 'The Taxiway API and the live overview.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [IThemeManager],
  provides: IServices,
  activate: (
    app: JupyterFrontEnd,
    rendermime: IRenderMimeRegistry,
    themes: IThemeManager | null
  ): Services => {
    const api = new Api(app.serviceManager.serverSettings);
    return {
      api,
      store: new OverviewStore(api),
      selections: new Selections(),
      commands: app.commands,
      rendermime,
      themes
    };
  }
};

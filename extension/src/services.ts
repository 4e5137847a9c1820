import type { IThemeManager } from '@jupyterlab/apputils';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { Token } from '@lumino/coreutils';
import type { CommandRegistry } from '@lumino/commands';
import { createContext, useContext } from 'react';
import type { Api } from './api';
import type { OverviewStore } from './overview';
import type { Selections } from './selections';

/** What every view needs. */
export interface Services {
  api: Api;
  store: OverviewStore;
  selections: Selections;
  commands: CommandRegistry;
  rendermime: IRenderMimeRegistry;
  themes: IThemeManager | null;
}

export const IServices = new Token<Services>(
  'taxiway:IServices',
  'The API, the live overview and the commands.'
);

export const ServicesContext = createContext<Services | null>(null);

export function useServices(): Services {
  const services = useContext(ServicesContext);
  if (!services) {
    throw new Error('A Taxiway component was drawn outside of its context.');
  }
  return services;
}

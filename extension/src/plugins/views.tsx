import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { ReactElement } from 'react';
import { CommandIds } from '../commandIds';
import { EndpointView } from '../components/EndpointView';
import { ModelView } from '../components/ModelView';
import { taxiwayIcon } from '../icons';
import { choose } from '../prompts';
import { IServices, type Services } from '../services';
import type { Overview } from '../types';
import { TaxiwayWidget } from '../widgets/TaxiwayWidget';

/** One kind of tab in the main area, one tab for each thing. */
interface Kind {
  namespace: string;
  command: string;
  label: string;
  /** The command's argument that names the thing. */
  argument: string;
  names: (overview: Overview) => string[];
  draw: (name: string) => ReactElement;
  /** What else the arguments say. */
  before?: (name: string, args: ReadonlyPartialJSONObject, services: Services) => void;
}

const KINDS: readonly Kind[] = [
  {
    namespace: 'taxiway-endpoint',
    command: CommandIds.openEndpoint,
    label: 'Open Endpoint',
    argument: 'name',
    names: overview => overview.endpoints.map(endpoint => endpoint.name),
    draw: name => <EndpointView name={name} />,
    before: (name, { column, window, model }, { selections }) => {
      if (typeof column === 'string' && typeof window === 'string') {
        selections.select(name, { column, window, model: typeof model === 'string' ? model : null });
      }
    }
  },
  {
    namespace: 'taxiway-model',
    command: CommandIds.openModel,
    label: 'Open Model',
    argument: 'tag',
    names: overview => overview.models.map(model => model.tag),
    draw: tag => <ModelView tag={tag} />
  }
];

/** The tabs of endpoints and Models; they come back when JupyterLab is loaded again. */
export const views: JupyterFrontEndPlugin<void> = {
  id: 'taxiway:views',
  description: 'The tabs of endpoints and Models.',
  autoStart: true,
  requires: [IServices],
  optional: [ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    services: Services,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ): void => {
    for (const kind of KINDS) {
      addKind(kind, app, services, restorer);
      palette?.addItem({ command: kind.command, category: 'Taxiway' });
    }
  }
};

function addKind(
  kind: Kind,
  app: JupyterFrontEnd,
  services: Services,
  restorer: ILayoutRestorer | null
): void {
  const tracker = new WidgetTracker<MainAreaWidget<TaxiwayWidget>>({ namespace: kind.namespace });
  const nameOf = (widget: MainAreaWidget): string => widget.id.slice(kind.namespace.length + 1);
  app.commands.addCommand(kind.command, {
    label: args => (args.isPalette ? `${kind.label}…` : kind.label),
    icon: taxiwayIcon,
    execute: async args => {
      const given = args[kind.argument];
      const names = kind.names(services.store.state.overview ?? EMPTY);
      const name = typeof given === 'string' ? given : await choose(kind.label, names);
      if (name === null) {
        return;
      }
      kind.before?.(name, args, services);
      const id = `${kind.namespace}-${name}`;
      let widget = tracker.find(candidate => candidate.id === id);
      if (!widget) {
        widget = create(id, name, kind, services);
        await tracker.add(widget);
      }
      if (!widget.isAttached) {
        app.shell.add(widget, 'main');
      }
      app.shell.activateById(id);
    }
  });
  void restorer?.restore(tracker, {
    command: kind.command,
    args: widget => ({ [kind.argument]: nameOf(widget) }),
    name: nameOf
  });
}

function create(id: string, name: string, kind: Kind, services: Services): MainAreaWidget<TaxiwayWidget> {
  const widget = new MainAreaWidget({ content: new TaxiwayWidget(services, kind.draw(name)) });
  widget.id = id;
  widget.title.label = name;
  widget.title.caption = `${kind.label.replace('Open ', '')} ${name}`;
  widget.title.icon = taxiwayIcon;
  widget.title.closable = true;
  return widget;
}

const EMPTY: Overview = {
  version: '',
  home: '',
  agent: { running: false, pid: null, since: null, doing: null },
  models: [],
  endpoints: [],
  alerts: [],
  runs: []
};

import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { CommandIds } from '../commandIds';
import { TaxiwayPanel } from '../components/TaxiwayPanel';
import { taxiwayIcon } from '../icons';
import { IServices, type Services } from '../services';
import { TaxiwayWidget } from '../widgets/TaxiwayWidget';

const ID = 'taxiway-panel';

/** The left panel. */
export const panel: JupyterFrontEndPlugin<void> = {
  id: 'taxiway:panel',
  description: 'The Taxiway panel: endpoints, alerts, Models and runs, live.',
  autoStart: true,
  requires: [IServices],
  optional: [ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    services: Services,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ): void => {
    const widget = new TaxiwayWidget(services, <TaxiwayPanel />);
    widget.id = ID;
    widget.title.icon = taxiwayIcon;
    widget.title.caption = 'Taxiway';
    widget.node.setAttribute('role', 'region');
    widget.node.setAttribute('aria-label', 'Taxiway');
    app.shell.add(widget, 'left', { rank: 600 });
    restorer?.add(widget, ID);
    app.commands.addCommand(CommandIds.openPanel, {
      label: 'Show the Taxiway Panel',
      icon: taxiwayIcon,
      execute: () => {
        app.shell.activateById(ID);
      }
    });
    palette?.addItem({ command: CommandIds.openPanel, category: 'Taxiway' });
  }
};

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, ICommandPalette, Notification, showDialog } from '@jupyterlab/apputils';
import { INotebookTracker, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import { CommandIds } from '../commandIds';
import { taxiwayIcon } from '../icons';
import { type Found, likeliestModel } from '../packaging/candidates';
import { initialChoice } from '../packaging/choice';
import { type Choice, packageCode } from '../packaging/code';
import { discover, DiscoveryFailure } from '../packaging/discover';
import { dialogBody } from '../widgets/dialogBody';
import { PackageDialogBody } from '../widgets/PackageDialogBody';

/** The toolbar button "Package model". Its place in the toolbar is in `schema/notebook.json`. */
export const notebook: JupyterFrontEndPlugin<void> = {
  id: 'taxiway:notebook',
  description: 'Packages a model of a notebook.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ICommandPalette],
  activate: (app: JupyterFrontEnd, tracker: INotebookTracker, palette: ICommandPalette | null): void => {
    app.commands.addCommand(CommandIds.packageModel, {
      label: 'Package Model',
      caption: 'Package a model of this notebook with Taxiway',
      icon: taxiwayIcon,
      isEnabled: () => tracker.currentWidget !== null,
      execute: async () => {
        if (tracker.currentWidget) {
          await packageModel(tracker.currentWidget);
        }
      }
    });
    tracker.currentChanged.connect(() => {
      app.commands.notifyCommandChanged(CommandIds.packageModel);
    });
    palette?.addItem({ command: CommandIds.packageModel, category: 'Taxiway' });
  }
};

const TRAIN = 'Run the cells that train it, then press “Package Model” again.';

async function packageModel(panel: NotebookPanel): Promise<void> {
  const found = await look(panel);
  if (!found) {
    return;
  }
  const model = likeliestModel(found);
  if (!model) {
    const unfitted = found.models.map(candidate => candidate.variable);
    await inform('No fitted model found', [
      unfitted.length > 0
        ? `The kernel holds ${unfitted.join(', ')}, which is not fitted yet.`
        : 'The kernel holds no scikit-learn estimator or pipeline that predicts.',
      TRAIN
    ]);
    return;
  }
  const initial = initialChoice(found, model);
  if (!initial) {
    await inform('No reference data found', [
      `The kernel holds no DataFrame with the columns of ${model.variable}. It is needed as the reference that later data is compared with.`,
      'Keep the training data in a variable, for example X_train, then press “Package Model” again.'
    ]);
    return;
  }
  const result = await showDialog<Choice>({
    title: 'Package a Model',
    body: new PackageDialogBody(found, initial),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: 'Package' })],
    focusNodeSelector: 'input'
  });
  if (result.button.accept && result.value) {
    await run(panel, packageCode(result.value, found.names));
  }
}

async function look(panel: NotebookPanel): Promise<Found | null> {
  await panel.sessionContext.ready;
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) {
    await inform('No kernel', ['This notebook has no kernel, so there is no model in it.', TRAIN]);
    return null;
  }
  const waiting =
    kernel.status === 'busy' && !kernel.supportsSubshells
      ? Notification.emit('Waiting for the running cell to end, to look for models…', 'in-progress')
      : null;
  try {
    return await discover(kernel);
  } catch (error) {
    const hint = error instanceof DiscoveryFailure ? error.hint : '';
    await inform('The kernel could not be searched', [
      error instanceof Error ? error.message : String(error),
      hint
    ]);
    return null;
  } finally {
    if (waiting !== null) {
      Notification.dismiss(waiting);
    }
  }
}

async function run(panel: NotebookPanel, code: string): Promise<void> {
  const { content, sessionContext } = panel;
  NotebookActions.insertBelow(content);
  content.activeCell?.model.sharedModel.setSource(code);
  await NotebookActions.run(content, sessionContext);
}

async function inform(title: string, body: string[]): Promise<void> {
  await showDialog({
    title,
    body: dialogBody(body.filter(Boolean)),
    buttons: [Dialog.okButton({ label: 'Close' })]
  });
}

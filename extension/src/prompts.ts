import { Dialog, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import { describe } from './api';
import type { Confirmation } from './confirmations';
import { dialogBody } from './widgets/dialogBody';

/** Let the user choose one of several names; null if there is none, or the user turned away. */
export async function choose(title: string, names: string[]): Promise<string | null> {
  if (names.length === 0) {
    Notification.info(`${title}: there is none yet.`);
    return null;
  }
  const result = await InputDialog.getItem({ title, items: names, okLabel: 'Choose' });
  return result.button.accept ? result.value : null;
}

/** Say what will happen and ask whether it shall. */
export async function confirmed(confirmation: Confirmation): Promise<boolean> {
  const accept = { label: confirmation.accept };
  const result = await showDialog({
    title: confirmation.title,
    body: dialogBody(confirmation.body),
    buttons: [Dialog.cancelButton(), confirmation.warn ? Dialog.warnButton(accept) : Dialog.okButton(accept)],
    // What warns must not be what Enter does.
    defaultButton: confirmation.warn ? 0 : 1
  });
  return result.button.accept;
}

/** Tell the user how a request goes: that it is under way if it takes its time, and how it ended. */
export async function told(work: Promise<void>, pending: string, done: string): Promise<void> {
  let settled = false;
  const hide = sleep(SLOW_MS).then(() => (settled ? () => Promise.resolve() : underWay(pending)));
  try {
    await work;
    Notification.success(done, { autoClose: 3000 });
  } catch (error) {
    Notification.error(sentences(error), { autoClose: false });
  } finally {
    settled = true;
    void hide.then(dismiss => dismiss());
  }
}

const SLOW_MS = 400;

/** Show a spinner; gives what takes it away, not before it is surely drawn: JupyterLab draws it late. */
function underWay(message: string): () => Promise<void> {
  const id = Notification.emit(message, 'in-progress', { autoClose: false });
  const drawn = sleep(2 * SLOW_MS);
  return async () => {
    await drawn;
    Notification.dismiss(id);
  };
}

function sleep(ms: number): Promise<void> {
  return new Promise(resolve => {
    setTimeout(resolve, ms);
  });
}

/** An error as one text: what is wrong, what to do. */
export function sentences(error: unknown): string {
  const failure = describe(error);
  return `${failure.error} ${failure.hint}`.trim();
}

import type { Kernel, KernelMessage } from '@jupyterlab/services';
import type { Found } from './candidates';

const KEY = 'taxiway';
const EXPRESSION = `__import__("taxiway.lab.discover", fromlist=["Discovery"]).Discovery(globals())`;

/** Why nothing could be found. */
export class DiscoveryFailure extends Error {
  constructor(
    message: string,
    readonly hint: string
  ) {
    super(message);
  }
}

/**
 * Ask a kernel what can be packaged, without a trace in its history.
 *
 * On a subshell where the kernel has them, so that a running cell is not waited for.
 */
export async function discover(kernel: Kernel.IKernelConnection): Promise<Found> {
  if (!kernel.supportsSubshells) {
    return ask(kernel);
  }
  const created = await kernel.requestCreateSubshell({}).done;
  const subshell = kernel.clone({ handleComms: false });
  try {
    subshell.subshellId = created.content.subshell_id;
    return await ask(subshell);
  } finally {
    void kernel
      .requestDeleteSubshell({ subshell_id: created.content.subshell_id })
      .done.catch(() => undefined);
    subshell.dispose();
  }
}

async function ask(kernel: Kernel.IKernelConnection): Promise<Found> {
  const reply = await kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    allow_stdin: false,
    user_expressions: { [KEY]: EXPRESSION }
  }).done;
  if (reply.content.status !== 'ok') {
    throw new DiscoveryFailure(
      'The kernel did not answer.',
      'Restart it, run the cells again and try once more.'
    );
  }
  return read(reply.content);
}

function read(content: KernelMessage.IReplyOkContent & { user_expressions?: unknown }): Found {
  const expressions = content.user_expressions as Record<string, Expression> | undefined;
  const result = expressions?.[KEY];
  if (result?.status === 'ok') {
    return result.data['application/json'];
  }
  if (result?.ename === 'ModuleNotFoundError') {
    throw new DiscoveryFailure(
      'Taxiway is not installed in the environment of this kernel.',
      'Run `%pip install taxiway` in a cell, then try again.'
    );
  }
  throw new DiscoveryFailure(
    `The kernel could not look for models: ${result?.evalue ?? 'no answer'}.`,
    'Taxiway works with Python kernels.'
  );
}

type Expression =
  { status: 'ok'; data: { 'application/json': Found } } | { status: 'error'; ename: string; evalue: string };

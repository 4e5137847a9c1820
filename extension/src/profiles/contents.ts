import type { Contents, IContentProvider } from '@jupyterlab/services';

/**
 * Gives files without what is in them.
 *
 * The server reads a profile, not the page: a double click on a `.bin` of gigabytes must not load it here.
 */
export function withoutContent(contents: Contents.IManager): IContentProvider {
  return {
    get: async (path, options) => {
      const found = await contents.get(path, { type: options?.type, content: false });
      return { ...found, content: '', format: 'base64', mimetype: 'application/octet-stream' };
    },
    save: () => Promise.reject(new Error('A profile is not changed here.'))
  };
}

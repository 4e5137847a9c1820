import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { ReactElement } from 'react';
import { ReactWidget } from '@jupyterlab/ui-components';
import { type Services, ServicesContext } from '../services';

/** What an output of a notebook shows for one of Taxiway's MIME types: a live view of the thing it names. */
export class DisplayRenderer<T> extends ReactWidget implements IRenderMime.IRenderer {
  constructor(
    private readonly services: Services,
    private readonly mimeType: string,
    private readonly draw: (detail: T) => ReactElement
  ) {
    super();
    this.addClass('taxiway');
    this.addClass('taxiway-display');
  }

  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.detail = model.data[this.mimeType] as T | undefined;
    this.update();
    return this.renderPromise ?? Promise.resolve();
  }

  protected override render(): ReactElement | null {
    if (this.detail === undefined) {
      return null;
    }
    return (
      <ServicesContext.Provider value={this.services}>{this.draw(this.detail)}</ServicesContext.Provider>
    );
  }

  private detail: T | undefined;
}

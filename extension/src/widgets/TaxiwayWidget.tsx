import { ReactWidget } from '@jupyterlab/ui-components';
import type { ReactElement } from 'react';
import { type Services, ServicesContext } from '../services';

/** Any of Taxiway's React views as a widget of JupyterLab. */
export class TaxiwayWidget extends ReactWidget {
  constructor(
    private readonly services: Services,
    private readonly view: ReactElement
  ) {
    super();
    this.addClass('taxiway');
  }

  protected override render(): ReactElement {
    return <ServicesContext.Provider value={this.services}>{this.view}</ServicesContext.Provider>;
  }
}

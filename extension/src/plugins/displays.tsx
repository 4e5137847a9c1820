import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { EndpointDisplay } from '../components/EndpointDisplay';
import { ModelDisplay } from '../components/ModelDisplay';
import { IServices, type Services } from '../services';
import type { EndpointDetail, ModelDetail } from '../types';
import { DisplayRenderer } from '../widgets/DisplayRenderer';

const MODEL = 'application/vnd.taxiway.model+json';
const ENDPOINT = 'application/vnd.taxiway.endpoint+json';

/** Before text/html (50), so that the live view is chosen where it can be drawn. */
const RANK = 40;

/** Models and endpoints in the outputs of notebooks. */
export const displays: JupyterFrontEndPlugin<void> = {
  id: 'taxiway:displays',
  description: 'Shows Models and endpoints in notebooks.',
  autoStart: true,
  requires: [IServices],
  activate: (_: JupyterFrontEnd, services: Services): void => {
    services.rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [MODEL],
        createRenderer: () =>
          new DisplayRenderer<ModelDetail>(services, MODEL, recorded => <ModelDisplay recorded={recorded} />)
      },
      RANK
    );
    services.rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [ENDPOINT],
        createRenderer: () =>
          new DisplayRenderer<EndpointDetail>(services, ENDPOINT, recorded => (
            <EndpointDisplay recorded={recorded} />
          ))
      },
      RANK
    );
  }
};

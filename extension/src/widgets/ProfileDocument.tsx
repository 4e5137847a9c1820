import { ABCWidgetFactory, type DocumentRegistry, DocumentWidget } from '@jupyterlab/docregistry';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { ReactElement } from 'react';
import { ProfileView } from '../components/ProfileView';
import { type Services, ServicesContext } from '../services';

/** The content of a profile's tab: the server reads the file, the page only names it. */
class ProfileContent extends ReactWidget {
  constructor(
    private readonly services: Services,
    private readonly context: DocumentRegistry.Context,
    private readonly localPath: (path: string) => string
  ) {
    super();
    this.addClass('taxiway');
    const refresh = (): void => {
      this.update();
    };
    context.fileChanged.connect(refresh);
    context.pathChanged.connect(refresh);
    void context.ready.then(refresh);
  }

  protected override render(): ReactElement {
    const { path, contentsModel } = this.context;
    return (
      <ServicesContext.Provider value={this.services}>
        <ProfileView path={this.localPath(path)} version={contentsModel?.last_modified ?? ''} />
      </ServicesContext.Provider>
    );
  }
}

/** Opens whylogs profiles as documents of JupyterLab. */
export class ProfileDocumentFactory extends ABCWidgetFactory<DocumentWidget> {
  constructor(
    options: DocumentRegistry.IWidgetFactoryOptions<DocumentWidget>,
    private readonly services: Services,
    private readonly localPath: (path: string) => string
  ) {
    super(options);
  }

  protected override createNewWidget(context: DocumentRegistry.Context): DocumentWidget {
    const content = new ProfileContent(this.services, context, this.localPath);
    return new DocumentWidget({ content, context });
  }
}

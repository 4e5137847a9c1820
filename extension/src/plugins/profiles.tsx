import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, Notification, WidgetTracker } from '@jupyterlab/apputils';
import type { DocumentRegistry, DocumentWidget } from '@jupyterlab/docregistry';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { type Contents, IDefaultDrive } from '@jupyterlab/services';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { CommandIds } from '../commandIds';
import { ComparisonView } from '../components/ComparisonView';
import { taxiwayIcon } from '../icons';
import { withoutContent } from '../profiles/contents';
import { type ProfileSource, sourceName } from '../profiles/types';
import { choose } from '../prompts';
import { IServices, type Services } from '../services';
import { ProfileDocumentFactory } from '../widgets/ProfileDocument';
import { TaxiwayWidget } from '../widgets/TaxiwayWidget';

const FILE_TYPE = 'whylogs-profile';
const FACTORY = 'whylogs Profile';
const PROVIDER = 'taxiway:name-only';
const NAMESPACE = 'taxiway-comparison';

/** whylogs profiles as documents: one by a double click, two side by side from the file browser's menu. */
export const profiles: JupyterFrontEndPlugin<void> = {
  id: 'taxiway:profiles',
  description: 'Opens and compares whylogs profiles.',
  autoStart: true,
  requires: [IServices],
  optional: [ILayoutRestorer, IFileBrowserFactory, ICommandPalette, IDefaultDrive],
  activate: (
    app: JupyterFrontEnd,
    services: Services,
    restorer: ILayoutRestorer | null,
    browsers: IFileBrowserFactory | null,
    palette: ICommandPalette | null,
    drive: Contents.IDrive | null
  ): void => {
    addDocuments(app, services, restorer, drive);
    addComparisons(app, services, restorer, browsers);
    palette?.addItem({ command: CommandIds.compareProfiles, category: 'Taxiway' });
  }
};

function addDocuments(
  app: JupyterFrontEnd,
  services: Services,
  restorer: ILayoutRestorer | null,
  drive: Contents.IDrive | null
): void {
  const { docRegistry, serviceManager } = app;
  const { contents } = serviceManager;
  const registry = drive?.contentProviderRegistry;
  registry?.register(PROVIDER, withoutContent(contents));
  const fileType: Partial<DocumentRegistry.IFileType> & { name: string } = {
    name: FILE_TYPE,
    displayName: 'whylogs Profile',
    extensions: ['.bin'],
    mimeTypes: ['application/octet-stream'],
    contentType: 'file',
    fileFormat: 'base64',
    icon: taxiwayIcon
  };
  docRegistry.addFileType(fileType);
  const factory = new ProfileDocumentFactory(
    {
      name: FACTORY,
      label: FACTORY,
      modelName: 'base64',
      fileTypes: [FILE_TYPE],
      defaultFor: [FILE_TYPE],
      readOnly: true,
      ...(registry ? { contentProviderId: PROVIDER } : {})
    },
    services,
    path => contents.localPath(path)
  );
  docRegistry.addWidgetFactory(factory);
  const tracker = new WidgetTracker<DocumentWidget>({ namespace: 'taxiway-profile' });
  factory.widgetCreated.connect((_, widget) => {
    widget.title.icon = taxiwayIcon;
    void tracker.add(widget);
  });
  void restorer?.restore(tracker, {
    command: 'docmanager:open',
    args: widget => ({ path: widget.context.path, factory: FACTORY }),
    name: widget => widget.context.path
  });
}

function addComparisons(
  app: JupyterFrontEnd,
  services: Services,
  restorer: ILayoutRestorer | null,
  browsers: IFileBrowserFactory | null
): void {
  const tracker = new WidgetTracker<MainAreaWidget<TaxiwayWidget>>({ namespace: NAMESPACE });
  const { contents } = app.serviceManager;
  const args = new Map<string, ReadonlyPartialJSONObject>();
  const selected = (): string[] =>
    [...(browsers?.tracker.currentWidget?.selectedItems() ?? [])]
      .filter(item => item.path.endsWith('.bin'))
      .map(item => contents.localPath(item.path));
  app.commands.addCommand(CommandIds.compareProfiles, {
    label: () => (selected().length === 2 ? 'Compare the Two Profiles' : 'Compare Profile with…'),
    icon: taxiwayIcon,
    execute: async given => {
      const pair = await pairOf(given, selected(), services, contents);
      if (!pair) {
        return;
      }
      const id = `${NAMESPACE}-${JSON.stringify(pair)}`;
      let widget = tracker.find(candidate => candidate.id === id);
      if (!widget) {
        args.set(id, pair);
        widget = createComparison(id, pair, services);
        await tracker.add(widget);
      }
      if (!widget.isAttached) {
        app.shell.add(widget, 'main');
      }
      app.shell.activateById(id);
    }
  });
  void restorer?.restore(tracker, {
    command: CommandIds.compareProfiles,
    args: widget => args.get(widget.id) ?? {},
    name: widget => widget.id
  });
}

/** What the command's arguments are: a type, since JSON has no index in an interface. */
// eslint-disable-next-line @typescript-eslint/consistent-type-definitions
type Pair = { left?: string; model?: string; right: string };

function createComparison(id: string, pair: Pair, services: Services): MainAreaWidget<TaxiwayWidget> {
  const left = sourceOf(pair);
  const view = <ComparisonView left={left} right={pair.right} />;
  const widget = new MainAreaWidget({ content: new TaxiwayWidget(services, view) });
  const name = `${sourceName({ kind: 'file', path: pair.right })} against ${sourceName(left)}`;
  widget.id = id;
  widget.title.label = name;
  widget.title.caption = name;
  widget.title.icon = taxiwayIcon;
  widget.title.closable = true;
  return widget;
}

function sourceOf({ left, model }: Pair): ProfileSource {
  return model === undefined ? { kind: 'file', path: left ?? '' } : { kind: 'model', tag: model };
}

/** What is to be compared: as given, as selected, or as the user chooses. */
async function pairOf(
  given: ReadonlyPartialJSONObject,
  selected: string[],
  services: Services,
  contents: Contents.IManager
): Promise<Pair | null> {
  const { left, model, right } = given;
  if (typeof right === 'string' && typeof left === 'string') {
    return { left, right };
  }
  if (typeof right === 'string' && typeof model === 'string') {
    return { model, right };
  }
  const [first, second] = selected;
  if (first === undefined) {
    Notification.info('Select one or two whylogs profiles (.bin) in the file browser, then compare them.');
    return null;
  }
  if (second !== undefined) {
    return { left: first, right: second };
  }
  const others = await profilesBeside(first, contents);
  const references = (services.store.state.overview?.models ?? []).map(one => one.tag);
  const options = new Map<string, Pair>([
    ...references.map((tag): [string, Pair] => [`the reference of ${tag}`, { model: tag, right: first }]),
    ...others.map((path): [string, Pair] => [path, { left: path, right: first }])
  ]);
  const answer = await choose(`Compare ${first} with`, [...options.keys()]);
  return answer === null ? null : (options.get(answer) ?? null);
}

async function profilesBeside(path: string, contents: Contents.IManager): Promise<string[]> {
  const folder = path.split('/').slice(0, -1).join('/');
  const found = await contents.get(folder, { content: true, type: 'directory' });
  const items = (found.content as Contents.IModel[]).map(item => contents.localPath(item.path));
  return items.filter(item => item.endsWith('.bin') && item !== path);
}

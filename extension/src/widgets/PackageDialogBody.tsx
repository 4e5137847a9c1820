import type { Dialog } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { ReactElement } from 'react';
import { PackageForm } from '../components/PackageForm';
import type { Found } from '../packaging/candidates';
import { consistent } from '../packaging/choice';
import { type Choice, modelName } from '../packaging/code';

/** The form in JupyterLab's dialog. */
export class PackageDialogBody extends ReactWidget implements Dialog.IBodyWidget<Choice> {
  constructor(
    private readonly found: Found,
    private choice: Choice
  ) {
    super();
    this.addClass('taxiway');
  }

  getValue(): Choice {
    return { ...this.choice, name: modelName(this.choice.name) };
  }

  protected override render(): ReactElement {
    return (
      <PackageForm
        found={this.found}
        choice={this.choice}
        change={choice => {
          this.choice = consistent(choice, this.choice, this.found);
          this.update();
        }}
      />
    );
  }
}

/** The cell that packages a model. */

export interface Choice {
  model: string;
  name: string;
  reference: string;
  target: string | null;
}

/** A text as a Model's name: lower case, digits and hyphens, a letter first; `model` if nothing is left. */
export function modelName(text: string): string {
  const name = text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 60)
    .replace(/-+$/, '');
  return name || 'model';
}

/** The variable that will hold the packaged Model; none of `taken`. */
export function resultVariable(name: string, taken: readonly string[]): string {
  const base = `${name.replaceAll('-', '_')}_model`;
  const used = new Set(taken);
  let variable = base;
  for (let number = 2; used.has(variable); number += 1) {
    variable = `${base}_${number}`;
  }
  return variable;
}

/** The source of the cell. */
export function packageCode(choice: Choice, taken: readonly string[]): string {
  const variable = resultVariable(choice.name, taken);
  const target = choice.target === null ? [] : [`    target=${choice.target},`];
  return [
    'import taxiway',
    '',
    `${variable} = taxiway.package(`,
    `    ${choice.model},`,
    `    name="${choice.name}",`,
    `    reference=${choice.reference},`,
    ...target,
    ')',
    variable
  ].join('\n');
}

/** The choice that a dialog opens with, and what is left of it when one part changes. */

import { type Found, type ModelVariable, references, targets } from './candidates';
import { type Choice, modelName } from './code';

/** The likeliest choice for a model; null if the kernel holds no data to profile it on. */
export function initialChoice(found: Found, model: ModelVariable): Choice | null {
  const [reference] = references(model, found);
  if (!reference) {
    return null;
  }
  const [target] = targets(reference, found);
  return {
    model: model.variable,
    name: modelName(model.variable),
    reference: reference.variable,
    target: target?.variable ?? null
  };
}

/** The choice with data that fits: another model wants other data, other data another target. */
export function consistent(choice: Choice, previous: Choice, found: Found): Choice {
  const model = found.models.find(candidate => candidate.variable === choice.model);
  if (!model) {
    return previous;
  }
  const initial = initialChoice(found, model);
  if (choice.model !== previous.model) {
    const kept = choice.name === modelName(previous.model) ? modelName(choice.model) : choice.name;
    return initial ? { ...initial, name: kept } : { ...choice, reference: '', target: null };
  }
  if (choice.reference !== previous.reference) {
    const reference = references(model, found).find(frame => frame.variable === choice.reference) ?? null;
    return { ...choice, target: targets(reference, found)[0]?.variable ?? null };
  }
  return choice;
}

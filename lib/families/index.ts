import { RND1Error } from '../support/errors';
import type { Fields } from '../support/fields';
import { printableJson } from '../support/printable';
import { a2dQwen3 } from './a2d-qwen3';
import { dream } from './dream';
import type { Family } from './family';
import { llada } from './llada';
import { lladaMoe } from './llada-moe';
import { llada2 } from './llada2';
import { qwen3 } from './qwen3';
import { qwen3Moe } from './qwen3-moe';
import { rnd1 } from './rnd1';
import { sdar } from './sdar';

/** All families. Of those with the same `model_type` the first one that takes a configuration reads it. */
export const families: readonly Family[] = [
  rnd1,
  lladaMoe,
  llada,
  dream,
  qwen3,
  qwen3Moe,
  a2dQwen3,
  llada2,
  sdar,
];

/** Every `model_type` that a family reads, quoted. */
const modelTypes = [...new Set(families.flatMap(({ modelTypes }) => modelTypes))]
  .map((type) => JSON.stringify(type))
  .join(', ');

/** The family of a config.json. Throws `unsupported_model` for other models, naming their `model_type`. */
export function familyOf(fields: Fields): Family {
  const modelType = fields.get('model_type');
  if (modelType === undefined) throw fields.invalid('model_type', modelTypes);
  const family = families.find(
    ({ modelTypes, takes }) => modelTypes.includes(modelType as string) && (takes?.(fields) ?? true),
  );
  if (family !== undefined) return family;
  if (typeof modelType === 'string' && /^diffusion_?gemma/i.test(modelType)) {
    throw new RND1Error(
      'unsupported_model',
      `${fields.path}: model_type ${printableJson(JSON.stringify(modelType.slice(0, 40)))}: DiffusionGemma is another kind of model: docs/families.md`,
    );
  }
  throw fields.unsupported('model_type', modelTypes);
}

/** A family's name in texts. */
export const familyTitle = (name: string): string => familyNamed(name).title;

/** The family of this name. */
export function familyNamed(name: string): Family {
  const family = families.find((one) => one.name === name);
  if (family === undefined) throw new Error(`no family ${name}`);
  return family;
}

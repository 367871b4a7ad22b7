import { types } from 'node:util';
import type { TrainingBatch as NativeBatch } from '../../types/native';
import { numberOption, optionsObject, quote, wordOption } from '../support/validate';
import type { TrainingBatch } from './trainer-types';

const batchNames = {
  tokens: true,
  offsets: true,
  mask: true,
  rows: true,
  targets: true,
  weights: true,
  auxCoef: true,
  auxScope: true,
  zCoef: true,
} as const;

/** One batch or several, as native code takes them. It checks the contents of their arrays. */
export function nativeBatches(given: TrainingBatch | readonly TrainingBatch[]): NativeBatch[] {
  const batches = Array.isArray(given) ? (given as readonly TrainingBatch[]) : [given as TrainingBatch];
  if (batches.length === 0) throw new RangeError('batches must not be empty');
  return batches.map((batch, i) =>
    nativeBatch(Array.isArray(given) ? `batches[${i}]` : 'batch', batch as TrainingBatch),
  );
}

/** Scored rows of each batch, when native code copies them: afterwards the caller may transfer the arrays. */
export function scoredRows(batches: readonly NativeBatch[]): number[] {
  return batches.map(({ rows }) => rows.length);
}

function nativeBatch(name: string, given: TrainingBatch): NativeBatch {
  if (given === undefined) throw new TypeError(`${name} must be an object, not undefined`);
  const batch = optionsObject(name, given, batchNames);
  const { mask, auxCoef = 0, auxScope = 'layer', zCoef = 0 } = batch;
  const integers = (field: 'tokens' | 'offsets' | 'rows' | 'targets') => {
    if (!types.isInt32Array(batch[field]))
      throw new TypeError(`${name}.${field} must be an Int32Array, not ${quote(batch[field])}`);
    return batch[field];
  };
  if (!types.isFloat32Array(batch.weights))
    throw new TypeError(`${name}.weights must be a Float32Array, not ${quote(batch.weights)}`);
  return {
    tokens: integers('tokens'),
    offsets: integers('offsets'),
    block:
      mask === undefined ? null : wordOption(`${name}.mask`, mask, ['full', 'causal']) === 'full' ? 0 : 1,
    rows: integers('rows'),
    targets: integers('targets'),
    weights: batch.weights,
    auxCoef: numberOption(`${name}.auxCoef`, auxCoef, 0),
    auxScope: wordOption(`${name}.auxScope`, auxScope, ['pooled', 'layer']),
    zCoef: numberOption(`${name}.zCoef`, zCoef, 0),
  };
}

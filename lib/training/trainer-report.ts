import type { TrainingLosses as NativeLosses, TrainerInfo } from '../../types/native';
import type { RatedTensor } from './trainer-groups';
import type { SquaredNorms, TrainingLosses } from './trainer-types';

/** Divides what native code reports of all batches and layers together; `scored`: the scored rows of each batch. */
export function lossesOf(
  { total, main, aux, z, crossEntropies, expertRows }: NativeLosses,
  scored: readonly number[],
  expertLayers: readonly number[],
): TrainingLosses {
  const experts = expertRows.length / expertLayers.length;
  return {
    total,
    main,
    aux,
    z,
    crossEntropies: divided(crossEntropies, scored),
    expertRows: expertLayers.map((layer, i) => ({
      layer,
      rows: expertRows.slice(i * experts, (i + 1) * experts),
    })),
  };
}

/** From norms of parameters to those of the checkpoint's tensors, which may hold several. */
export function squaredNormsOf(
  norms: Float64Array,
  parameters: TrainerInfo['parameters'],
  tensors: readonly RatedTensor[],
): SquaredNorms {
  const places = new Map(parameters.map(({ role }, i) => [role, i]));
  const rows = divided(
    norms,
    Array.from({ length: norms.length / parameters.length }, () => parameters.length),
  );
  const byTensor = rows.map((row) =>
    Float64Array.from(tensors, ({ parts }) =>
      parts.reduce((sum, { role }) => sum + (row[places.get(role) as number] as number), 0),
    ),
  );
  return { batches: byTensor.slice(0, -1), whole: byTensor.at(-1) as Float64Array };
}

function divided(values: Float64Array, lengths: readonly number[]): Float64Array[] {
  let start = 0;
  return lengths.map((length) => {
    const part = values.slice(start, start + length);
    start += length;
    return part;
  });
}

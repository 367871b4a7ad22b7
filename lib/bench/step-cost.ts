import { expectedTensors } from '../checkpoint/tensors';
import type { DiffusionLM } from '../index';
import type { BenchCanvas } from './canvases';

/** The work of a step. */
export interface StepCost {
  /** A multiply-add counts as two. */
  readonly operations: number;
  /** Bytes of weights read: without experts that no row was routed to, and with only the needed embedding rows. */
  readonly bytes: number;
  /** Experts that rows were routed to, summed over the layers. */
  readonly expertsHit: number;
  readonly experts: number;
}

/** Runs the routers on these canvases and computes the cost of a step. */
export async function stepCost(model: DiffusionLM, canvases: readonly BenchCanvas[]): Promise<StepCost> {
  const { architecture } = model.config;
  const { hidden, vocabulary, layers } = architecture;
  const routed = layers.flatMap(({ mlp }) => (mlp.kind === 'experts' ? [mlp] : []));
  const hit = routed.map(() => new Set<number>());
  for (const { tokens } of canvases) {
    const { routing = [] } = await model.forward(tokens, { routing: routed.length > 0 });
    for (const [layer, { expertIds }] of routing.entries()) for (const id of expertIds) hit[layer]?.add(id);
  }
  const expertsHit = hit.reduce((sum, ids) => sum + ids.size, 0);

  const rows = canvases.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const scored = canvases.reduce((sum, { masked }) => sum + masked.length, 0);
  const distinct = new Set(canvases.flatMap(({ tokens }) => [...tokens])).size;
  const pairs = canvases.reduce((sum, { tokens }) => sum + tokens.length ** 2, 0);

  // All weights; those of layers that every row meets; and, of these, the ones in matmuls.
  let [parameters, met, multiplied] = [0, 0, 0];
  for (const { role, shape } of expectedTensors(architecture)) {
    const size = shape.reduce((product, length) => product * length, 1);
    parameters += size;
    if (!role.startsWith('layers.') || role.includes('.experts.')) continue;
    met += size;
    if (shape.length > 1) multiplied += size;
  }
  const expert = 3 * hidden * (routed[0]?.width ?? 0);
  const used = routed.reduce((sum, { expertsPerToken }) => sum + expertsPerToken * expert, 0);
  const queries = layers.reduce((sum, { attention }) => sum + attention.heads * attention.headDim, 0);
  const multiplyAdds = rows * (multiplied + used) + 2 * pairs * queries + scored * hidden * vocabulary;
  // Average bytes per element: quantized checkpoints also hold scales and unquantized tensors.
  const elementBytes = model.info.weightBytes / parameters;
  return {
    operations: 2 * multiplyAdds,
    bytes: elementBytes * (met + expertsHit * expert + (distinct + 1 + vocabulary) * hidden),
    expertsHit,
    experts: routed.reduce((sum, { experts }) => sum + experts, 0),
  };
}

import type { DiffusionLM } from '../../lib';
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
  const sizes = model.config.model;
  const hit = Array.from({ length: sizes.layers }, () => new Set<number>());
  for (const { tokens } of canvases) {
    const { routing = [] } = await model.forward(tokens, { routing: true });
    for (const [layer, { expertIds }] of routing.entries()) for (const id of expertIds) hit[layer]?.add(id);
  }
  const expertsHit = hit.reduce((sum, ids) => sum + ids.size, 0);

  const { layers, hidden, expertWidth, experts, expertsPerToken, vocabulary, headDim } = sizes;
  const queries = sizes.heads * headDim;
  const projections = hidden * (2 * queries + 2 * sizes.keyValueHeads * headDim);
  const router = hidden * experts;
  const expert = 3 * hidden * expertWidth;
  const norms = 2 * hidden + 2 * headDim;
  const rows = canvases.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const scored = canvases.reduce((sum, { masked }) => sum + masked.length, 0);
  const distinct = new Set(canvases.flatMap(({ tokens }) => [...tokens])).size;
  const pairs = canvases.reduce((sum, { tokens }) => sum + tokens.length ** 2, 0);

  const perRow = projections + router + expertsPerToken * expert;
  const multiplyAdds = layers * (rows * perRow + 2 * pairs * queries) + scored * hidden * vocabulary;
  const weights = layers * (projections + router + norms) + expertsHit * expert;
  // Average bytes per element: quantized checkpoints also hold scales and unquantized tensors.
  const parameters =
    layers * (projections + router + norms + experts * expert) +
    hidden * (1 + (sizes.tieWordEmbeddings ? 1 : 2) * vocabulary);
  const elementBytes = model.info.weightBytes / parameters;
  return {
    operations: 2 * multiplyAdds,
    bytes: elementBytes * (weights + (distinct + 1 + vocabulary) * hidden),
    expertsHit,
    experts: layers * experts,
  };
}

import type { Architecture, ExpertsDescription } from '../../types/native';

/** The block of the attention mask: 0 is full attention, 1 is causal. */
export function blockOf({ layers }: Architecture): number {
  return layers[0]?.attention.block ?? 0;
}

/** Whether positions see only those before them, so that a text can be written from left to right only. */
export function isCausal(architecture: Architecture): boolean {
  return blockOf(architecture) === 1;
}

/** The experts of the layers that have some, in the order of layers. */
export function expertsOf({ layers }: Architecture): ExpertsDescription[] {
  return layers.flatMap(({ mlp }) => (mlp.kind === 'experts' ? [mlp] : []));
}

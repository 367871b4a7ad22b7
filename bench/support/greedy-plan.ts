import { plainPlan } from '../../lib/denoising/state';

/** A step's plan that predicts the most probable tokens and commits all positions but the `keep` least probable. */
export const greedyPlan = (keep: number) => ({
  ...plainPlan,
  order: 'confidence' as const,
  limit: 'keep' as const,
  value: keep,
  temperature: 1,
  topK: 0,
  topP: 1,
  greedy: true,
  seed: 0n,
  round: 1,
  banned: new Int32Array(),
});

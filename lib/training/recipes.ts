import type { TrainOptions } from './train-types';

/** Options of a recipe, which given ones override. */
type Recipe = Pick<TrainOptions, 'objective' | 'weighting' | 'timeSampling' | 'schedule'> & {
  /** Learning rates by group as multiples of `base`. */
  readonly scales: Readonly<Record<string, number>>;
};

/** Named settings. Simple continual pretraining: the ratio of its learning rates is this project's. */
export const recipes: Readonly<Record<'scp', Recipe>> = {
  scp: {
    objective: 'mdlm',
    weighting: 'mean',
    timeSampling: 'stratified',
    schedule: { kind: 'wsd', warmup: 0.02, decay: 0.2 },
    scales: { attention: 1, router: 0.1, mlp: 0.1, embedding: 0.1, head: 0.1, norm: 0.1 },
  },
};

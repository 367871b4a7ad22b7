/** What `plot` draws: a column of metrics.jsonl, in docs/training.md. */
export type PlotValue =
  | 'loss'
  | 'masked_ce'
  | 'elbo'
  | 'eval_loss'
  | 'eval_masked_ce'
  | 'aux'
  | 'z'
  | 'grad_norm'
  | 'learning_rate'
  | 'tokens_per_second'
  | 'memory';

/** What can be plotted: the field of a step's line, that of an evaluation's line, and what the axis says. */
export const plotValues: Readonly<Record<PlotValue, PlottedValue>> = {
  loss: { step: 'loss', evaluation: null, label: 'loss', noisy: true },
  masked_ce: {
    step: 'masked_ce',
    evaluation: 'eval_masked_ce',
    label: 'cross entropy of scored positions, nats',
    noisy: true,
  },
  elbo: { step: 'elbo', evaluation: 'eval_loss', label: 'bound of nats per token', noisy: true },
  eval_loss: { step: null, evaluation: 'eval_loss', label: 'evaluation: nats per token', noisy: false },
  eval_masked_ce: {
    step: null,
    evaluation: 'eval_masked_ce',
    label: 'evaluation: cross entropy of scored positions, nats',
    noisy: false,
  },
  aux: { step: 'aux', evaluation: null, label: 'load balance of the routers', noisy: true },
  z: { step: 'z', evaluation: null, label: 'z-loss of the routers', noisy: true },
  grad_norm: {
    step: 'grad_norm',
    evaluation: null,
    label: 'norm of the gradient before clipping',
    noisy: true,
  },
  learning_rate: { step: 'learning_rate', evaluation: null, label: 'learning rate', noisy: false },
  tokens_per_second: { step: 'tokens_per_second', evaluation: null, label: 'tokens/s', noisy: true },
  memory: { step: 'memory', evaluation: null, label: 'resident memory, bytes', noisy: false },
};

/** How a value is plotted. */
interface PlottedValue {
  readonly step: string | null;
  readonly evaluation: string | null;
  readonly label: string;
  readonly noisy: boolean;
}

/** The names of all of it. */
export const plotValueNames = Object.keys(plotValues) as readonly PlotValue[];

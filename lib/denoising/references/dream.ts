import { bare, type Reference } from './arguments';

export const dreamArguments = [
  'max_new_tokens',
  'steps',
  'eps',
  'alg',
  'alg_temp',
  'temperature',
  'top_p',
  'top_k',
  'mask_token_id',
];

const orders = {
  origin: 'random',
  maskgit_plus: 'confidence',
  topk_margin: 'margin',
  entropy: 'entropy',
} as const;

/** Dream's generation_utils.py. */
export const dreamGenerate: Reference = (args) => {
  const alg = args.word('alg', 'origin', Object.keys(orders) as (keyof typeof orders)[]);
  const independent = alg === 'origin';
  return {
    ...bare,
    eosTokenId: null,
    ...args.id('mask_token_id', 'maskTokenId'),
    fillPrefix: true,
    maxNewTokens: args.count('max_new_tokens', 20),
    steps: args.count('steps', 512),
    schedule: orders[alg],
    counts: { type: 'linear', eps: args.number('eps', 1e-3, 0, 1), independent },
    idleSteps: 'run',
    temperature: args.number('temperature', 0),
    topP: args.probability('top_p', 1),
    topK: args.count('top_k', 0, 0),
    filterOrder: 'top-p',
    algTemp: independent ? 0 : args.number('alg_temp', 0),
  };
};

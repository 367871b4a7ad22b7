import type { SimpleSchedule, TokenOptions } from '../../api/types';
import { type Arguments, bare, type Reference } from './arguments';

const shared = [
  'gen_length',
  'block_length',
  'temperature',
  'top_p',
  'top_k',
  'threshold',
  'eos_early_stop',
  'mask_id',
  'eos_id',
];

export const llada2Arguments = [...shared, 'steps', 'minimal_topk'];
export const llada21Arguments = [...shared, 'editing_threshold', 'max_post_steps', 'num_to_transfer'];

/** LLaDA2.0's `generate`: blocks of which a step fills all above a threshold, or an even share. */
export const llada2Generate: Reference = (args) => {
  const perStep = Math.floor(args.count('gen_length', 2048) / args.count('minimal_topk', 1));
  const steps = Math.max(1, Math.min(args.count('steps', 32), perStep));
  return {
    ...blocksOf(args, { steps, atLeast: 'counts' }),
    stopAtEos: args.flag('eos_early_stop') ? 'commit' : 'block',
  };
};

/** LLaDA2.1's `generate`: the same without a number of steps, and with edits. */
export const llada21Generate: Reference = (args) => {
  const steps = args.count('block_length', 32);
  return {
    ...blocksOf(args, { steps, atLeast: args.count('num_to_transfer', 1) }),
    editing: {
      threshold: args.number('editing_threshold', 0.9, 0, 1),
      maxPostSteps: args.count('max_post_steps', 16, 0),
    },
    stopAtEos: args.flag('eos_early_stop') ? 'block' : false,
  };
};

/** Refuses 0, with which the reference keeps one token, and the option `topP` all. */
function positive(name: string, value: number): number {
  if (value > 0) return value;
  throw new RangeError(`args.${name} must be above 0, not ${value}: top_k 1 keeps a single token`);
}

function blocksOf(
  args: Arguments,
  { steps, atLeast }: { readonly steps: number; readonly atLeast: number | 'counts' },
): TokenOptions {
  const tau = args.probability('threshold', 0.95);
  const schedule: SimpleSchedule = { type: 'threshold', tau, strict: true, atLeast };
  const length = args.count('block_length', 32);
  return {
    ...bare,
    ...args.id('mask_id', 'maskTokenId'),
    ...args.id('eos_id', 'eosTokenId'),
    maxNewTokens: args.count('gen_length', 2048),
    schedule: { type: 'blocks', length, steps, from: 'canvas', window: 'block', schedule },
    counts: 'even',
    idleSteps: 'until-filled',
    cutAtEos: true,
    temperature: args.number('temperature', 0),
    topP: positive('top_p', args.number('top_p', 1, 0, 1)),
    topK: args.count('top_k', 0, 0),
  };
}

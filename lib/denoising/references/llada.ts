import type { SimpleSchedule, TokenOptions } from '../../api/types';
import { type Arguments, bare, type Reference } from './arguments';

export const lladaArguments = [
  'steps',
  'gen_length',
  'block_length',
  'temperature',
  'cfg_scale',
  'remasking',
  'mask_id',
  'eos_token_id',
  'eot_token_id',
  'logits_eos_inf',
  'confidence_eos_eot_inf',
  'attention_mask',
];

/** ML-GSAI/LLaDA, generate.py. Its end tokens are written into its code; here they are the model's, or arguments. */
export const lladaGenerate: Reference = (args) => {
  args.allOnes('attention_mask');
  const cfgScale = args.number('cfg_scale', 0);
  if (cfgScale > 0 && args.isNone('attention_mask')) {
    throw new TypeError('args.cfg_scale needs args.attention_mask: the reference fails without it');
  }
  const { eosTokenId } = args.id('eos_token_id', 'eosTokenId');
  const { eot } = args.id('eot_token_id', 'eot');
  const zeroes = args.flag('confidence_eos_eot_inf');
  const ends = zeroes || args.flag('logits_eos_inf');
  return {
    ...blocksOf(args),
    ...args.id('mask_id', 'maskTokenId'),
    ...(!ends ? { eosTokenId: null } : eosTokenId !== undefined && { eosTokenId }),
    fillPrefix: true,
    idleSteps: 'run',
    confidence: 'raw',
    temperature: args.number('temperature', 0),
    cfgScale,
    suppressEos: args.flag('logits_eos_inf') && 'first',
    zeroEosConfidence: zeroes,
    ...(zeroes && eot !== undefined && { zeroConfidence: [eot] }),
  };
};

export const fastDllmArguments = [
  'steps',
  'gen_length',
  'block_length',
  'temperature',
  'remasking',
  'mask_id',
  'threshold',
];

/** NVlabs/Fast-dLLM, llada/generate.py. */
export const fastDllmGenerate: Reference = (args) => {
  const blocks = blocksOf(args);
  const shared = {
    ...args.id('mask_id', 'maskTokenId'),
    eosTokenId: null,
    idleSteps: 'until-filled',
    confidence: 'raw',
    temperature: args.number('temperature', 0),
  } as const;
  if (!args.has('threshold')) return { ...blocks, ...shared };
  const length = args.count('block_length', 128);
  // Without a number of steps: each fills at least one position.
  const schedule: SimpleSchedule = { type: 'threshold', tau: args.probability('threshold', 0.9) };
  return { ...blocks, ...shared, schedule: { type: 'blocks', length, steps: length, schedule } };
};

/** Blocks with even counts, which must divide the canvas and the steps. */
function blocksOf(args: Arguments): TokenOptions {
  const [steps, length] = [args.count('steps', 128), args.count('gen_length', 128)];
  const block = args.count('block_length', 128);
  if (length % block !== 0) {
    throw new RangeError(`args.gen_length must be a multiple of args.block_length ${block}, not ${length}`);
  }
  const blocks = length / block;
  if (steps % blocks !== 0) {
    throw new RangeError(`args.steps must be a multiple of the ${blocks} blocks, not ${steps}`);
  }
  const order = args.word('remasking', 'low_confidence', ['low_confidence', 'random']);
  const schedule = order === 'random' ? 'random' : 'confidence';
  return {
    ...bare,
    maxNewTokens: length,
    schedule: { type: 'blocks', length: block, steps: steps / blocks, schedule },
    counts: 'even',
  };
}

import { bare, type Reference } from './arguments';

export const dllmArguments = [
  'steps',
  'max_new_tokens',
  'block_size',
  'temperature',
  'cfg_scale',
  'remasking',
  'suppress_tokens',
  'begin_suppress_tokens',
  'right_shift_logits',
];

/** ZHZisZZ/dllm, core/samplers/mdlm.py. */
export const mdlmSample: Reference = (args) => {
  const length = args.count('max_new_tokens', 128);
  const block = args.count('block_size', 128);
  const steps = Math.ceil(args.count('steps', 128) / Math.ceil(length / block));
  const order = args.word('remasking', 'low_confidence', ['low_confidence', 'random']);
  const schedule = order === 'random' ? 'random' : 'confidence';
  return {
    ...bare,
    eosTokenId: null,
    ...args.ids('suppress_tokens', 'banned'),
    ...args.ids('begin_suppress_tokens', 'zeroConfidence'),
    ...(args.flag('right_shift_logits') && { predictionShift: 1 }),
    fillPrefix: true,
    maxNewTokens: length,
    schedule: { type: 'blocks', length: block, steps, schedule },
    counts: 'rounded',
    idleSteps: 'run',
    confidence: 'raw',
    temperature: args.number('temperature', 0),
    cfgScale: args.number('cfg_scale', 0),
  };
};

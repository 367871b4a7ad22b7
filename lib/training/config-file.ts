import { readJsonObject } from '../checkpoint/files';
import { RND1Error } from '../support/errors';
import { nearest, quote } from '../support/validate';
import type { LearningSchedule } from './schedules';
import { trainNames } from './train-names';
import type { TrainOptions } from './train-types';

type Config = Partial<{ -readonly [K in keyof TrainOptions]: TrainOptions[K] }>;

/** Names of transformers' TrainingArguments that mean the same as an option. */
const synonyms: Readonly<Record<string, keyof TrainOptions>> = {
  output_dir: 'output',
  max_steps: 'steps',
  per_device_train_batch_size: 'microBatch',
  save_steps: 'saveEvery',
  save_total_limit: 'saveLimit',
  save_only_model: 'saveOnlyModel',
  logging_steps: 'logEvery',
  max_seq_length: 'sequenceLength',
};

/** Those that belong into an option with fields: the option, the field. */
const nested: Readonly<Record<string, readonly ['schedule' | 'optimizer' | 'evaluation', string]>> = {
  warmup_steps: ['schedule', 'warmup'],
  warmup_ratio: ['schedule', 'warmup'],
  weight_decay: ['optimizer', 'weightDecay'],
  max_grad_norm: ['optimizer', 'clip'],
  adam_epsilon: ['optimizer', 'epsilon'],
  eval_steps: ['evaluation', 'every'],
};

const schedulers: Readonly<Record<string, LearningSchedule['kind']>> = {
  constant: 'constant',
  constant_with_warmup: 'constant',
  linear: 'linear',
  cosine: 'cosine',
  warmup_stable_decay: 'wsd',
};

/**
 * Reads options of `train` from a JSON file, in this package's names or in those of transformers (with underscores or
 * dashes). Values are checked when the run starts.
 *
 * @throws RND1Error `invalid_data` for a name that means nothing; `io`
 */
export async function readTrainConfig(path: string): Promise<Partial<TrainOptions>> {
  const raw = await readJsonObject(path);
  if (raw === null) throw new RND1Error('io', `cannot read ${path}: there is no such file`);
  const config: Config = {};
  const set = (name: string, value: unknown) => Object.assign(config, { [name]: value });
  let accumulation: unknown;
  let betas: Record<number, unknown> = {};
  for (const [key, value] of Object.entries(raw)) {
    const plain = key.replaceAll('-', '_');
    const field = nested[plain];
    const beta = /^adam_beta([12])$/.exec(plain)?.[1];
    if (Object.hasOwn(trainNames, key)) set(key, merged(config[key as keyof TrainOptions], value));
    else if (Object.hasOwn(synonyms, plain)) set(synonyms[plain] as string, value);
    else if (field !== undefined && Object.hasOwn(nested, plain))
      set(field[0], { ...config[field[0]], [field[1]]: value });
    else if (plain === 'learning_rate') set('learningRate', value);
    else if (plain === 'bf16') set('dtype', typeof value === 'boolean' ? (value ? 'bf16' : 'f32') : value);
    else if (plain === 'gradient_accumulation_steps') accumulation = value;
    else if (beta !== undefined) betas = { ...betas, [Number(beta) - 1]: value };
    else if (plain === 'lr_scheduler_type')
      set('schedule', { ...config.schedule, kind: scheduler(path, value) });
    else throw new RND1Error('invalid_data', `${path} has an unknown option ${quote(key)}${hint(key)}`);
  }
  if (Object.keys(betas).length > 0)
    set('optimizer', { ...config.optimizer, betas: [betas[0] ?? 0.9, betas[1] ?? 0.95] });
  if (config.microBatch !== undefined && config.batch === undefined)
    set('batch', config.microBatch * (typeof accumulation === 'number' ? accumulation : 1));
  else if (accumulation !== undefined && config.batch !== undefined && config.microBatch === undefined)
    set('microBatch', config.batch / Number(accumulation));
  return config;
}

/** Fields that a synonym has set already stay, unless they are given. */
function merged(before: unknown, value: unknown): unknown {
  const both = [before, value].every(
    (each) => typeof each === 'object' && each !== null && !Array.isArray(each),
  );
  return both ? { ...(before as object), ...(value as object) } : value;
}

function scheduler(path: string, value: unknown): LearningSchedule['kind'] {
  if (typeof value === 'string' && Object.hasOwn(schedulers, value)) return schedulers[value];
  const known = Object.keys(schedulers).join(', ');
  throw new RND1Error('invalid_data', `${path}: lr_scheduler_type ${quote(value)} is not one of ${known}`);
}

function hint(key: string): string {
  const meant = nearest(key, [...Object.keys(trainNames), ...Object.keys(synonyms), ...Object.keys(nested)]);
  return meant === null ? '' : `; did you mean ${quote(meant)}?`;
}

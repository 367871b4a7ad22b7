import { join } from 'node:path';
import type { NativeConfig } from '../../types/native';
import { RND1Error } from '../support/errors';
import { refuseUnsupported } from './features';
import { Fields } from './fields';
import { checkFolder, readJsonObject } from './files';
import { type Quantization, readQuantization } from './quantization';
import { refuseSharedMask, tokenWarnings } from './special-tokens';
import type { NamedTokens } from './tokenizer/tokenizer';

/** The token ids with a meaning in generation. 0 is an id like any other; null and an empty list mean none. */
export interface SpecialTokens {
  /** The token of masked positions. */
  readonly maskTokenId: number;
  /** Any of these ends a text. */
  readonly eosTokenIds: readonly number[];
  /** The token of the reserved slot at the end of a canvas; it ends a text, too. */
  readonly padTokenId: number | null;
  /** The first token of an unprompted canvas. */
  readonly bosTokenId: number | null;
}

/** Defaults of a checkpoint for generation. */
export interface GenerationDefaults {
  /** `max_new_tokens` of generation_config.json. */
  readonly maxNewTokens?: number;
  /** `num_diffusion_steps` of generation_config.json, else of config.json, else RND1's own 256. */
  readonly steps: number;
  /** `task_template` of generation_config.json; contains `{prompt}`. */
  readonly taskTemplate?: string;
}

/** The checked contents of config.json and generation_config.json. */
export interface ModelConfig {
  /** The model's sizes. */
  readonly model: NativeConfig;
  /** Mask, end of text, padding, beginning of text. */
  readonly tokens: SpecialTokens;
  /** Defaults of options. */
  readonly generation: GenerationDefaults;
  /** How the weights are quantized; null when they are not. */
  readonly quantization: Quantization | null;
  /** `dtype` or `torch_dtype` as written; weights have their own dtype. */
  readonly declaredDtype?: string;
  /** config.json, unchanged. */
  readonly raw: Readonly<Record<string, unknown>>;
  /** generation_config.json, unchanged; empty when there is none. */
  readonly rawGeneration: Readonly<Record<string, unknown>>;
}

export interface ReadConfigOptions {
  /** Name of the configuration file inside the folder. @default 'config.json' */
  readonly configFile?: string;
  /** Gets the special tokens of tokenizer_config.json, given `vocab_size`: used for keys that neither config has. */
  readonly namedTokens?: (vocabulary: number) => Promise<NamedTokens>;
  /** Called for contradictions that are resolved. */
  readonly warn?: (message: string) => void;
}

/**
 * Reads config.json and, if there is one, generation_config.json, which takes precedence for token ids and steps.
 * Throws `unsupported_model` for unimplemented features and `invalid_checkpoint` for values that
 * are missing, of a wrong type or contradict each other, naming file, key and value.
 */
export async function readConfig(folder: string, options: ReadConfigOptions = {}): Promise<ModelConfig> {
  await checkFolder(folder);
  const { configFile = 'config.json', warn = () => {} } = options;
  const path = join(folder, configFile);
  const raw = await readJsonObject(path, warn);
  if (raw === null) throw new RND1Error('invalid_checkpoint', `${folder} has no ${configFile}`);
  const generationPath = join(folder, 'generation_config.json');
  const rawGeneration = (await readJsonObject(generationPath, warn)) ?? {};

  const fields = new Fields(path, raw);
  const generationFields = new Fields(generationPath, rawGeneration);
  const modelType = fields.get('model_type');
  if (modelType === undefined) throw fields.invalid('model_type', '"rnd1"');
  if (modelType !== 'rnd1') throw fields.unsupported('model_type', '"rnd1"');
  refuseUnsupported(fields);
  const quantization = readQuantization(fields);
  const model = readModel(fields);
  const named = (await options.namedTokens?.(model.vocabulary)) ?? {};
  const tokens = readTokens([generationFields, fields], named, model.vocabulary);
  refuseSharedMask(tokens, path);
  for (const warning of tokenWarnings(generationFields, fields, named, tokens)) warn(warning);
  return {
    model,
    tokens,
    generation: readGeneration(generationFields, fields),
    quantization,
    declaredDtype: fields.optionalString('dtype') ?? fields.optionalString('torch_dtype'),
    raw,
    rawGeneration,
  };
}

function readModel(fields: Fields): NativeConfig {
  const model: NativeConfig = {
    layers: fields.size('num_hidden_layers'),
    hidden: fields.size('hidden_size'),
    heads: fields.size('num_attention_heads'),
    keyValueHeads: fields.size('num_key_value_heads'),
    headDim: fields.size('head_dim'),
    experts: fields.size('num_experts'),
    expertsPerToken: fields.size('num_experts_per_tok'),
    expertWidth: fields.size('moe_intermediate_size'),
    vocabulary: fields.size('vocab_size'),
    maxPositions: fields.size('max_position_embeddings'),
    rmsNormEpsilon: fields.positiveNumber('rms_norm_eps'),
    ropeTheta: readRopeTheta(fields),
    normTopkProb: fields.boolean('norm_topk_prob'),
    tieWordEmbeddings: fields.boolean('tie_word_embeddings', false),
  };
  const contradiction = (problem: string) =>
    new RND1Error('invalid_checkpoint', `${fields.path}: ${problem}`);
  if (model.heads % model.keyValueHeads !== 0) {
    throw contradiction(
      `num_attention_heads ${model.heads} is not a multiple of num_key_value_heads ${model.keyValueHeads}`,
    );
  }
  if (model.expertsPerToken > model.experts) {
    throw contradiction(
      `num_experts_per_tok ${model.expertsPerToken} is larger than num_experts ${model.experts}`,
    );
  }
  if (model.headDim % 2 !== 0) throw contradiction(`head_dim ${model.headDim} is odd; RoPE rotates halves`);
  return model;
}

/** `rope_theta`, which newer versions of transformers write into `rope_parameters`. */
function readRopeTheta(fields: Fields): number {
  const nested = fields.get('rope_parameters') || {};
  const inner = new Fields(`${fields.path}: rope_parameters`, nested as Record<string, unknown>);
  if (inner.get('rope_theta') === undefined) return fields.positiveNumber('rope_theta');
  const theta = inner.positiveNumber('rope_theta');
  if (fields.get('rope_theta') !== undefined && fields.positiveNumber('rope_theta') !== theta) {
    throw fields.invalid('rope_theta', `the ${theta} of rope_parameters`);
  }
  return theta;
}

/** Uses the first of `sources` that has an id; the tokenizer only if none has the key, not even as null. */
function readTokens(sources: readonly Fields[], named: NamedTokens, vocabulary: number): SpecialTokens {
  const first = <T>(
    key: string,
    read: (fields: Fields) => T | undefined,
    fallback: T | undefined,
  ): T | undefined => {
    const value = sources.map(read).find((value) => value !== undefined);
    return value ?? (sources.some((fields) => fields.has(key)) ? undefined : fallback);
  };
  const one = (key: string, fallback: number | undefined) =>
    first(key, (fields) => fields.optionalToken(key, vocabulary), fallback);
  const maskTokenId = one('mask_token_id', named.mask);
  if (maskTokenId === undefined) {
    throw new RND1Error(
      'invalid_checkpoint',
      `mask_token_id is missing in ${sources.map((fields) => fields.path).join(' and ')}`,
    );
  }
  return {
    maskTokenId,
    eosTokenIds:
      first(
        'eos_token_id',
        (fields) => fields.optionalTokens('eos_token_id', vocabulary),
        named.eos === undefined ? undefined : [named.eos],
      ) ?? [],
    padTokenId: one('pad_token_id', named.pad) ?? null,
    bosTokenId: one('bos_token_id', named.bos) ?? null,
  };
}

function readGeneration(generation: Fields, config: Fields): GenerationDefaults {
  const taskTemplate = generation.optionalString('task_template');
  if (taskTemplate !== undefined && !taskTemplate.includes('{prompt}')) {
    throw generation.invalid('task_template', 'a string that contains {prompt}');
  }
  // Each of them repeats the whole prompt.
  if (taskTemplate !== undefined && taskTemplate.split('{prompt}').length > 17) {
    throw generation.invalid('task_template', 'a string that contains {prompt} at most 16 times');
  }
  return {
    maxNewTokens: generation.optionalPositiveInteger('max_new_tokens'),
    steps:
      generation.optionalPositiveInteger('num_diffusion_steps') ??
      config.optionalPositiveInteger('num_diffusion_steps') ??
      256,
    taskTemplate,
  };
}

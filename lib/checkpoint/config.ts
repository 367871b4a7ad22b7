import type { Architecture } from '../../types/native';
import type { SpecialTokenIds } from '../api/types';
import { familyOf } from '../families';
import { RND1Error } from '../support/errors';
import { Fields } from '../support/fields';
import { type CheckpointFiles, openCheckpoint } from './checkpoint-files';
import { type Quantization, readQuantization } from './quantization';
import { checkSpecialTokens, readTokens, refuseSharedMask, tokenWarnings } from './special-tokens';
import type { NamedTokens } from './tokenizer/tokenizer';

/** The token ids with a meaning in generation. 0 is an id like any other; null and an empty list mean none. */
export interface SpecialTokens {
  /** The token of masked positions; null if nothing names one. */
  readonly maskTokenId: number | null;
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
  /** The family of models that it is one of: `'rnd1'`, `'llada'` …; docs/families.md lists them. */
  readonly family: string;
  /** The model's graph, with all sizes. */
  readonly architecture: Architecture;
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
  /** Special tokens that take precedence over all files. */
  readonly specialTokens?: SpecialTokenIds;
  /** Called for contradictions that are resolved. */
  readonly warn?: (message: string) => void;
}

/**
 * Reads config.json and, if there is one, generation_config.json, which takes precedence for token ids and steps.
 * Throws `unsupported_model` for unimplemented features and `invalid_checkpoint` for values that
 * are missing, of a wrong type or contradict each other, naming file, key and value; RangeError for `specialTokens`.
 */
export async function readConfig(
  checkpoint: string | CheckpointFiles,
  options: ReadConfigOptions = {},
): Promise<ModelConfig> {
  const files = typeof checkpoint === 'string' ? await openCheckpoint(checkpoint) : checkpoint;
  const { configFile = 'config.json', warn = () => {} } = options;
  const path = files.pathOf(configFile);
  const raw = await files.readJson(configFile, warn);
  if (raw === null) throw new RND1Error('invalid_checkpoint', `${files.place} has no ${configFile}`);
  const generationPath = files.pathOf('generation_config.json');
  const rawGeneration = (await files.readJson('generation_config.json', warn)) ?? {};

  const fields = new Fields(path, raw);
  const generationFields = new Fields(generationPath, rawGeneration);
  const family = familyOf(fields);
  const architecture = family.read(fields);
  const quantization = readQuantization(fields);
  const { vocabulary } = architecture;
  const named = (await options.namedTokens?.(vocabulary)) ?? {};
  const given = checkSpecialTokens(options.specialTokens ?? {}, vocabulary);
  const tokens = readTokens([generationFields, fields], { given, named, family, vocabulary });
  // A mask that the caller names may be any token.
  if (given.mask === undefined) refuseSharedMask(tokens, path);
  for (const warning of tokenWarnings(generationFields, fields, { given, named, tokens })) warn(warning);
  return {
    family: family.name,
    architecture,
    tokens,
    generation: readGeneration(generationFields, fields),
    quantization,
    declaredDtype: fields.optionalString('dtype') ?? fields.optionalString('torch_dtype'),
    raw,
    rawGeneration,
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

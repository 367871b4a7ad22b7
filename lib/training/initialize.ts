import { basename, resolve } from 'node:path';
import { type CheckpointFiles, openCheckpoint } from '../checkpoint/checkpoint-files';
import { pythonJson, readJsonObject } from '../checkpoint/files';
import { type ExpectedTensor, expectedTensors } from '../checkpoint/tensors';
import { Tokenizer } from '../checkpoint/tokenizer/tokenizer';
import { companionFiles } from '../checkpoint/writing';
import { familyOf } from '../families';
import { storedName } from '../families/names';
import { RND1Error } from '../support/errors';
import { Fields } from '../support/fields';
import {
  integerOption,
  optionsObject,
  quote,
  signalOption,
  stringOption,
  wordOption,
} from '../support/validate';
import { makeFolder, type NewFolder } from './new-folder';
import { NormalStream } from './normal';
import { elements, encoded, type TensorEntry, writeShards } from './weight-files';

/** What a new model is. */
export interface InitializeOptions {
  /**
   * A config.json of any family that can be trained: its path, or its content. `model_type` is qwen3_moe if it is missing,
   * and in Qwen3's families sizes follow hidden_size.
   */
  readonly config: string | Readonly<Record<string, unknown>>;
  /** Folder whose tokenizer files are copied. @default none; then config must have vocab_size */
  readonly tokenizer?: string;
  /** Of the weights; an integer. @default 0 */
  readonly seed?: number;
  /** Of the weights in the files. @default 'f32' */
  readonly dtype?: 'f32' | 'bf16';
  /** When it aborts, initializing rejects with its reason, and nothing is left. @default none */
  readonly signal?: AbortSignal;
}

/** What was written. */
export interface InitializeReport {
  /** The new folder. */
  readonly path: string;
  /** The family's `model_type`. */
  readonly modelType: string;
  /** Numbers in all tensors. */
  readonly parameters: number;
}

/**
 * Writes a new checkpoint with random weights: normal with deviation `initializer_range` (0.02), that of the projections
 * into the residual stream divided by √(2 · layers) as in GPT-2, norms 1, biases 0. The same seed gives the same bytes.
 *
 * @throws RND1Error `unsupported_model`, `invalid_checkpoint` naming the key of the configuration, `io`
 */
export async function initialize(target: string, given: InitializeOptions): Promise<InitializeReport> {
  stringOption('target', target);
  const options = optionsObject('options', given, {
    config: true,
    tokenizer: true,
    seed: true,
    dtype: true,
    signal: true,
  });
  const dtype = wordOption('dtype', options.dtype ?? 'f32', ['f32', 'bf16']);
  const seed = BigInt(integerOption('seed', options.seed ?? 0, 0));
  const signal = signalOption(options.signal);
  const { path, sizes } = await readSizes(options.config);
  const files =
    options.tokenizer === undefined
      ? null
      : await openCheckpoint(stringOption('tokenizer', options.tokenizer));
  const tokenizer = options.tokenizer === undefined ? null : await Tokenizer.load(options.tokenizer);
  if (files !== null && tokenizer === null)
    throw new RND1Error('tokenizer_missing', `${files.place} has no tokenizer.json`);
  const config: Record<string, unknown> = {
    ...complete(sizes, path, tokenizer),
    torch_dtype: dtype === 'f32' ? 'float32' : 'bfloat16',
  };
  const fields = new Fields(path, config);
  const family = familyOf(fields);
  const architecture = family.read(fields);
  if (tokenizer !== null && tokenizer.size > architecture.vocabulary)
    throw fields.invalid('vocab_size', `at least the ${tokenizer.size} tokens of ${options.tokenizer}`);
  const deviation =
    fields.get('initializer_range') === undefined ? 0.02 : fields.positiveNumber('initializer_range');
  const type = dtype === 'f32' ? 'F32' : 'BF16';
  const { length: layers } = architecture.layers;
  const entries = [...expectedTensors(architecture)].map(
    (tensor, number): TensorEntry => ({
      name: storedName(family.names, tensor.role),
      shape: tensor.shape,
      dtype: type,
      bytes: elements(tensor.shape) * (dtype === 'f32' ? 4 : 2),
      write: async (write) => {
        // A stream of random numbers of its own.
        const stream = new NormalStream(seed, number);
        const spread = deviationOf(tensor, deviation, layers);
        const count = elements(tensor.shape);
        for (let first = 0; first < count; first += piece) {
          signal?.throwIfAborted();
          await write(encoded(drawn(spread, stream, Math.min(piece, count - first)), type));
        }
      },
    }),
  );
  const parameters = entries.reduce((sum, { shape }) => sum + elements(shape), 0);
  await makeFolder(target, async (made) => {
    await writeShards(made, 'model', entries, signal);
    await made.text('config.json', `${pythonJson(config)}\n`);
    await writeTokenizer(made, files);
    signal?.throwIfAborted();
  });
  return { path: resolve(target), modelType: String(config.model_type), parameters };
}

async function readSizes(
  config: InitializeOptions['config'],
): Promise<{ path: string; sizes: Record<string, unknown> }> {
  if (typeof config === 'string') {
    const sizes = await readJsonObject(config);
    if (sizes === null) throw new RND1Error('io', `cannot read ${config}: there is no such file`);
    return { path: config, sizes };
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new TypeError(`config must be a path or an object, not ${quote(config)}`);
  return { path: 'config', sizes: { ...config } };
}

/** Adds what is missing, in the proportions of Qwen3's models. */
function complete(
  sizes: Readonly<Record<string, unknown>>,
  path: string,
  tokenizer: Tokenizer | null,
): Record<string, unknown> {
  const modelType = sizes.model_type ?? 'qwen3_moe';
  if (!['qwen3_moe', 'qwen3', 'rnd1', 'a2d-qwen3'].includes(modelType as string)) return { ...sizes };
  const fields = new Fields(path, sizes);
  const hidden = fields.size('hidden_size');
  const heads = fields.size('num_attention_heads');
  const experts = modelType === 'qwen3_moe' || modelType === 'rnd1';
  const named = tokenizer?.named ?? {};
  const ids = Object.fromEntries(
    (['eos', 'pad', 'bos', 'mask'] as const)
      .filter((name) => named[name] !== undefined && (name !== 'mask' || modelType !== 'qwen3_moe'))
      .map((name) => [`${name}_token_id`, named[name]]),
  );
  return {
    architectures:
      modelType === 'qwen3_moe' ? ['Qwen3MoeForCausalLM'] : modelType === 'qwen3' ? ['Qwen3ForCausalLM'] : [],
    model_type: modelType,
    hidden_act: 'silu',
    head_dim: hidden / heads,
    num_key_value_heads: heads,
    intermediate_size: 3 * hidden,
    ...(experts
      ? {
          num_experts: 8,
          num_experts_per_tok: 2,
          moe_intermediate_size: hidden,
          norm_topk_prob: true,
          decoder_sparse_step: 1,
          mlp_only_layers: [],
          router_aux_loss_coef: 0.001,
        }
      : {}),
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    tie_word_embeddings: false,
    attention_bias: false,
    initializer_range: 0.02,
    ...(tokenizer === null ? {} : { vocab_size: tokenizer.size }),
    ...ids,
    ...sizes,
  };
}

/** Null for norms, which are 1; 0 for biases. */
function deviationOf({ role, shape }: ExpectedTensor, deviation: number, layers: number): number | null {
  if (/[nN]orm$/.test(role)) return null;
  if (shape.length === 1) return 0;
  return /\.(output|down)$/.test(role) ? deviation / Math.sqrt(2 * layers) : deviation;
}

/** Numbers that are drawn at once. */
const piece = 2 ** 18;

function drawn(deviation: number | null, stream: NormalStream, count: number): Float32Array {
  const values = new Float32Array(count);
  if (deviation === null) return values.fill(1);
  return deviation === 0 ? values : stream.fill(values, deviation);
}

async function writeTokenizer(made: NewFolder, files: CheckpointFiles | null): Promise<void> {
  if (files === null) return;
  for (const name of companionFiles) {
    if (!/token|vocab|merges|chat/.test(basename(name))) continue;
    const text = await files.readText(name);
    if (text !== null) await made.text(name, text);
  }
}

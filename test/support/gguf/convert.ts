import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTensors, type Stored, safetensorsBytes } from '../safetensors';
import { decode, encode, type TensorType, types } from './blocks';
import { ggufBytes, type Metadata, type WrittenTensor } from './file';

type Config = Readonly<Record<string, unknown>>;

/** Names in GGUF files, as llama.cpp's converter gives them. */
const renames: readonly (readonly [RegExp, string])[] = [
  [/^model\.(?:transformer\.wte|embed_tokens)\./, 'token_embd.'],
  [/^model\.(?:transformer\.ln_f|norm)\./, 'output_norm.'],
  [/^(?:model\.transformer\.ff_out|lm_head)\./, 'output.'],
  [/^model\.(?:transformer\.blocks|layers)\.(\d+)\./, 'blk.$1.'],
  [/\.(?:input_layernorm|attn_norm)\./, '.attn_norm.'],
  [/\.(?:post_attention_layernorm|ff_norm)\./, '.ffn_norm.'],
  [/\.(?:self_attn\.)?([qkv])_proj\./, '.attn_$1.'],
  [/\.self_attn\.([qk])_norm\./, '.attn_$1_norm.'],
  [/\.(?:self_attn\.o_proj|attn_out)\./, '.attn_output.'],
  [/\.mlp\.experts\.(\d+)\.(gate|up|down)_proj\./, '.ffn_$2_exps.$1.'],
  [/\.mlp\.gate\./, '.ffn_gate_inp.'],
  [/\.(?:mlp\.gate_proj|ff_proj)\./, '.ffn_gate.'],
  [/\.(?:mlp\.)?up_proj\./, '.ffn_up.'],
  [/\.(?:mlp\.down_proj|ff_out)\./, '.ffn_down.'],
];

/** `general.architecture` and the metadata of a config.json. */
function metadataOf(config: Config): Metadata {
  const experts = config.num_experts !== undefined;
  const architecture = {
    rnd1: 'rnd1',
    Dream: 'dream',
    llada: experts ? 'llada-moe' : 'llada',
    qwen3: 'qwen3',
    qwen3_moe: 'qwen3moe',
  }[config.model_type as string] as string;
  const number = (...keys: string[]) =>
    keys.map((key) => config[key]).find((value) => typeof value === 'number') as number;
  const heads = number('num_attention_heads', 'n_heads');
  const hidden = number('hidden_size', 'd_model');
  const headDim = number('head_dim') ?? hidden / heads;
  const sizes: Record<string, number> = {
    block_count: number('num_hidden_layers', 'n_layers'),
    context_length: number('max_position_embeddings', 'max_sequence_length'),
    embedding_length: hidden,
    feed_forward_length: number('intermediate_size', 'mlp_hidden_size', 'dense_intermediate_size'),
    'attention.head_count': heads,
    'attention.head_count_kv': number('num_key_value_heads', 'n_kv_heads'),
    'attention.key_length': headDim,
    'attention.value_length': headDim,
    'rope.dimension_count': headDim,
    ...(experts && {
      expert_count: number('num_experts'),
      expert_used_count: number('num_experts_per_tok'),
      expert_feed_forward_length: number('moe_intermediate_size', 'expert_intermediate_size'),
    }),
  };
  const ids = { mask: 'mask', eos: 'eos', padding: 'pad', bos: 'bos' };
  const tokens = Object.entries(ids).flatMap(([name, key]) => {
    const id = config[`${key}_token_id`];
    return typeof id === 'number' ? [[`tokenizer.ggml.${name}_token_id`, { u32: id }] as const] : [];
  });
  const causal = architecture.startsWith('qwen');
  return {
    'general.architecture': { text: architecture },
    ...Object.fromEntries(
      Object.entries(sizes).map(([key, value]) => [`${architecture}.${key}`, { u32: value }]),
    ),
    [`${architecture}.attention.layer_norm_rms_epsilon`]: { f32: number('rms_norm_eps') },
    [`${architecture}.rope.freq_base`]: { f32: number('rope_theta') },
    ...(!causal && { [`${architecture}.attention.causal`]: { bool: false } }),
    ...Object.fromEntries(tokens),
  };
}

/** The numbers of a tensor. */
function numbersOf({ dtype, bytes }: Stored): Float32Array {
  return decode(dtype as TensorType, bytes);
}

/** Rows of queries or keys in the order of llama.cpp's `llada`: the two halves of a head row by row. */
function pairRows(values: Float32Array, [rows, columns]: readonly number[], headDim: number): Float32Array {
  const paired = new Float32Array(values.length);
  for (let row = 0; row < (rows as number); row++) {
    const [head, inside] = [Math.floor(row / headDim), row % headDim];
    const to = head * headDim + 2 * (inside % (headDim / 2)) + Math.floor((2 * inside) / headDim);
    const width = columns as number;
    paired.set(values.subarray(row * width, (row + 1) * width), to * width);
  }
  return paired;
}

/** What to write. */
export interface ConvertOptions {
  /** Of matrices; those whose columns are not whole blocks are Q8_0, or else F16. */
  readonly type: TensorType;
  /** Bytes to put at the start of some tensors, by their names in GGUF files. */
  readonly bytesOf?: (name: string) => Buffer | undefined;
  /** Another type for some tensors, by their names in GGUF files. */
  readonly typeOf?: (name: string) => TensorType | undefined;
  readonly metadata?: Metadata;
  /** Files that the tensors are distributed over. @default 1 */
  readonly parts?: number;
}

/**
 * Writes a checkpoint as `model.gguf` (or the parts of a split file) into one folder, and into another one what its
 * numbers are, as f32 safetensors.
 */
export function convertCheckpoint(folder: string, gguf: string, twin: string, options: ConvertOptions): void {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Config;
  const { tensors, rounded } = convertTensors(readTensors(folder), config, options);
  mkdirSync(gguf, { recursive: true });
  mkdirSync(twin, { recursive: true });
  const generation = join(folder, 'generation_config.json');
  const ids = existsSync(generation) ? (JSON.parse(readFileSync(generation, 'utf8')) as Config) : {};
  const metadata = { ...metadataOf({ ...ids, ...config }), ...options.metadata };
  const { parts = 1 } = options;
  for (let part = 0; part < parts; part++) {
    const number = (value: number) => String(value).padStart(5, '0');
    const name = parts === 1 ? 'model.gguf' : `model-${number(part + 1)}-of-${number(parts)}.gguf`;
    const split: Metadata = parts === 1 ? {} : { 'split.count': { u32: parts }, 'split.no': { u32: part } };
    const own = tensors.filter((_, i) => i % parts === part);
    writeFileSync(join(gguf, name), ggufBytes({ ...(part === 0 && metadata), ...split }, own));
  }
  writeFileSync(join(twin, 'model.safetensors'), safetensorsBytes(rounded));
  for (const name of ['config.json', 'generation_config.json']) {
    if (existsSync(join(folder, name))) copyFileSync(join(folder, name), join(twin, name));
  }
}

function convertTensors(
  stored: ReadonlyMap<string, Stored>,
  config: Config,
  { type, typeOf, bytesOf }: ConvertOptions,
) {
  const tensors: WrittenTensor[] = [];
  const rounded = new Map<string, Stored>();
  const stacks = new Map<string, WrittenTensor[]>();
  const headDim = (config.d_model as number) / (config.n_heads as number);
  for (const [original, tensor] of stored) {
    const name = renames.reduce(
      (text, [pattern, replacement]) => text.replace(pattern, replacement),
      original,
    );
    const stack = /^(.*_exps)\.(\d+)\.weight$/.exec(name);
    const known = stack === null ? name : `${stack[1]}.weight`;
    const { shape } = tensor;
    const used = typeFor(known, shape, typeOf?.(known) ?? type);
    const values = numbersOf(tensor);
    const paired =
      config.model_type === 'llada' && config.n_heads !== undefined && /\.attn_[qk]\.weight$/.test(name);
    const bytes = encode(used, paired ? pairRows(values, shape, headDim) : values);
    bytesOf?.(known)?.copy(bytes);
    const plain = paired ? encode(used, values) : bytes;
    rounded.set(original, { dtype: 'F32', shape, bytes: Buffer.from(decode(used, plain).buffer) });
    if (stack === null) tensors.push({ name, type: used, shape, bytes });
    else
      stacks.set(known, [
        ...(stacks.get(known) ?? []),
        { name: stack[2] as string, type: used, shape, bytes },
      ]);
  }
  for (const [name, experts] of stacks) {
    experts.sort((a, b) => Number(a.name) - Number(b.name));
    const { type: used, shape } = experts[0] as WrittenTensor;
    const bytes = Buffer.concat(experts.map((expert) => expert.bytes));
    tensors.push({ name, type: used, shape: [experts.length, ...shape], bytes });
  }
  return { tensors, rounded };
}

function typeFor(name: string, shape: readonly number[], wanted: TensorType): TensorType {
  if (shape.length === 1 || name.endsWith('.ffn_gate_inp.weight')) return 'F32';
  const columns = shape[shape.length - 1] as number;
  const fits = (type: TensorType) => columns % types[type][1] === 0;
  return fits(wanted) ? wanted : fits('Q8_0') ? 'Q8_0' : 'F16';
}

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  formatOf,
  type Quantization,
  quantizationConfig,
  quantizedParts,
} from '../../lib/checkpoint/quantization';
import { storedTensors } from '../../lib/checkpoint/tensors';
import { safetensorsHeader, shardName, splitShards, type WrittenTensor } from '../../lib/checkpoint/writing';
import { rnd1 } from '../../lib/families/rnd1';
import { Fields } from '../../lib/support/fields';
import { distributionOf, RandomWeights } from './random-weights';

/** The sizes of an RND1. */
export interface Sizes {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly experts: number;
  readonly expertsPerToken: number;
  readonly expertWidth: number;
  readonly vocabulary: number;
  readonly maxPositions: number;
  readonly rmsNormEpsilon: number;
  readonly ropeTheta: number;
  readonly normTopkProb: boolean;
  readonly tieWordEmbeddings: boolean;
}

export interface CheckpointOptions {
  readonly sizes: Sizes;
  readonly seed: number;
  /** Random integers, with scales that give the weights the same deviation as bf16 ones. @default bf16 */
  readonly quantization?: Quantization;
  /** Size limit of a shard; larger checkpoints are split. */
  readonly shardBytes: number;
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

interface Tensor extends WrittenTensor {
  readonly index: number;
  /** The constant element of scales and minimums. */
  readonly value?: number;
}

/** Size of the write buffer. */
const bufferBytes = 16 << 20;

/**
 * Writes a random checkpoint, tensor by tensor with bounded memory. Files go to a temporary folder beside `folder`,
 * which is renamed when complete and deleted on failure.
 *
 * @returns bytes of weights
 */
export async function writeCheckpoint(folder: string, options: CheckpointOptions): Promise<number> {
  const target = resolve(folder);
  if (existsSync(target)) throw new RangeError(`${target} exists already`);
  const temporary = `${target}.partial-${randomUUID().slice(0, 8)}`;
  await mkdir(temporary).catch((error: Error) => {
    throw new RangeError(`${target} cannot be written: ${error.message}`);
  });
  try {
    const bytes = await writeFiles(temporary, options);
    await rename(temporary, target);
    return bytes;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

async function writeFiles(folder: string, options: CheckpointOptions): Promise<number> {
  const { sizes, onProgress } = options;
  const shards = splitShards(
    tensorsOf(sizes, options.quantization),
    ({ bytes }) => bytes,
    options.shardBytes,
  );
  const totalBytes = shards.flat().reduce((sum, { bytes }) => sum + bytes, 0);
  const random = new RandomWeights(options.seed);
  const buffer = new Uint32Array(bufferBytes / 4);
  const weightMap: Record<string, string> = {};
  let written = 0;
  for (const [index, tensors] of shards.entries()) {
    const file = shardName(index, shards.length);
    const handle = await open(join(folder, file), 'wx');
    try {
      await writeAll(handle, safetensorsHeader(tensors, { format: 'pt' }));
      for (const tensor of tensors) {
        weightMap[tensor.name] = file;
        for (const piece of piecesOf(random, tensor, buffer)) {
          options.signal?.throwIfAborted();
          await writeAll(handle, piece);
          written += piece.length;
          onProgress?.(written, totalBytes);
        }
      }
      // Flushed before the folder is renamed, so that the final name never refers to incomplete files.
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  const writeJson = (name: string, value: unknown) =>
    writeFile(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  if (shards.length > 1) {
    const index = { metadata: { total_size: totalBytes }, weight_map: weightMap };
    await writeJson('model.safetensors.index.json', index);
  }
  const { quantization } = options;
  const format = quantization && { quantization_config: quantizationConfig(quantization) };
  await writeJson('config.json', { ...configOf(sizes), ...format });
  return totalBytes;
}

/** Writes all bytes: `FileHandle.write` may write only a part. */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done);
    done += bytesWritten;
  }
}

function piecesOf(random: RandomWeights, tensor: Tensor, buffer: Uint32Array): Generator<Uint8Array> {
  if (tensor.dtype === 'U8') return random.fillIntegers(tensor, buffer);
  if (tensor.value !== undefined) return random.fillConstant(tensor, tensor.value, buffer);
  return random.fill(tensor, buffer);
}

function tensorsOf(sizes: Sizes, quantization?: Quantization): Tensor[] {
  const architecture = rnd1.read(new Fields('config.json', configOf(sizes)));
  const tensors = [...storedTensors(architecture, rnd1.names)].flatMap(
    ({ name, shape, matmul, parts: roles }) => {
      const format = quantization && formatOf(quantization, { matmul, role: roles[0]?.role });
      if (!format) {
        return [
          { name, dtype: 'BF16', shape, bytes: 2 * shape.reduce((product, size) => product * size, 1) },
        ];
      }
      const { data, scales, minimums } = quantizedParts(name, shape, format);
      // Divided by the deviation of uniformly distributed integers.
      const values = format.dtype === 'q8' ? 256 : 16;
      const scale = distributionOf(name, shape).deviation / Math.sqrt((values ** 2 - 1) / 12);
      const parts = [data, { ...scales, value: scale }];
      return minimums === null ? parts : [...parts, { ...minimums, value: (-scale * (values - 1)) / 2 }];
    },
  );
  return tensors.map((tensor, index) => ({ ...tensor, index }));
}

/** The config.json of RND1 with these sizes, and with the special tokens at the end of the vocabulary. */
export function configOf(sizes: Sizes): Record<string, unknown> {
  return {
    architectures: ['RND1LM'],
    model_type: 'rnd1',
    attention_bias: false,
    attention_dropout: 0,
    decoder_sparse_step: 1,
    hidden_act: 'silu',
    hidden_size: sizes.hidden,
    head_dim: sizes.headDim,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.keyValueHeads,
    num_hidden_layers: sizes.layers,
    intermediate_size: 3 * sizes.hidden,
    num_experts: sizes.experts,
    num_experts_per_tok: sizes.expertsPerToken,
    moe_intermediate_size: sizes.expertWidth,
    norm_topk_prob: sizes.normTopkProb,
    mlp_only_layers: [],
    max_position_embeddings: sizes.maxPositions,
    rms_norm_eps: sizes.rmsNormEpsilon,
    rope_theta: sizes.ropeTheta,
    rope_scaling: null,
    sliding_window: null,
    use_sliding_window: false,
    tie_word_embeddings: sizes.tieWordEmbeddings,
    vocab_size: sizes.vocabulary,
    mask_token_id: sizes.vocabulary - 1,
    eos_token_id: sizes.vocabulary - 2,
    pad_token_id: sizes.vocabulary - 2,
    bos_token_id: null,
    is_causal: false,
    use_cache: false,
    num_diffusion_steps: 256,
    moe_backend: 'hf',
    torch_dtype: 'bfloat16',
  };
}

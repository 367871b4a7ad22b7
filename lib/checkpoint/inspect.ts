import type { FloatType, QuantizedType } from '../../types/native';
import type { ModelConfig } from '../config';
import { withJSON } from '../json';
import { optionsObject, stringOption } from '../validate';
import type { ManifestTensor } from './manifest';
import { readCheckpoint } from './read';

/** What a checkpoint folder holds, from its configuration and headers alone. */
export interface CheckpointReport {
  /** The folder that was given. */
  readonly folder: string;
  /** The checked contents of its configuration files. */
  readonly config: ModelConfig;
  /** The safetensors files, in the order of the index. */
  readonly files: readonly {
    /** The folder's path and the file's name. */
    readonly path: string;
    /** Size of the whole file. */
    readonly bytes: number;
  }[];
  /** Every tensor, needed or not, in file order; `file` is an index into `files`. */
  readonly tensors: readonly ManifestTensor[];
  /** Names of tensors that the model ignores. */
  readonly unknown: readonly string[];
  /** The dtype of most bytes of unquantized tensors: the compute dtype of `dtype: 'auto'`. */
  readonly dtype: FloatType;
  /** The dtype of the weights of products: `'q8'` or `'q4'` in a quantized checkpoint. */
  readonly weights: FloatType | QuantizedType;
  /** Bytes of the tensors that the model uses. */
  readonly bytes: number;
  /** Numbers in the tensors that the model uses; `active`: those that take part for one token. */
  readonly parameters: {
    /** All of them. */
    readonly total: number;
    /** Without the experts that a token is not sent to. */
    readonly active: number;
  };
  /** `__metadata__` of the safetensors headers. */
  readonly metadata: ReadonlyMap<string, string>;
  /** There is a tokenizer.json. */
  readonly tokenizer: boolean;
  /** Contradictions between the files that leave no doubt about what is meant; docs/checkpoints.md lists them. */
  readonly warnings: readonly string[];
}

/** Options of `inspectCheckpoint`. */
export interface InspectOptions {
  /** Name of the configuration file inside the folder. @default 'config.json' */
  readonly configFile?: string;
}

/** Reads everything about a checkpoint but its weights. Throws as `readConfig`, `readManifest` and `selectTensors` do. */
export async function inspectCheckpoint(
  folder: string,
  options: InspectOptions = {},
): Promise<CheckpointReport> {
  stringOption('folder', folder);
  const { configFile } = optionsObject('options', options, { configFile: true });
  const { config, tokenizer, manifest, selected, warnings } = await readCheckpoint(folder, configFile);
  const { tensors, unknown, dtype, weights, bytes } = selected;
  const { layers, hidden, experts, expertsPerToken, expertWidth } = config.model;
  const total = tensors.reduce((sum, tensor) => sum + tensor.shape.reduce((a, b) => a * b, 1), 0);
  const idle = layers * (experts - expertsPerToken) * 3 * hidden * expertWidth;
  return withJSON({
    folder,
    config,
    files: manifest.files.map((path, file) => ({ path, bytes: manifest.fileBytes[file] ?? 0 })),
    tensors: [...manifest.tensors.values()],
    unknown,
    dtype,
    weights,
    bytes,
    parameters: { total, active: total - idle },
    metadata: manifest.metadata,
    tokenizer: tokenizer !== null,
    warnings,
  });
}

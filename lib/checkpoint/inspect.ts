import type { FloatType } from '../../types/native';
import { withJSON } from '../api/json';
import { expertsOf } from '../families/traits';
import { optionsObject, stringOption } from '../support/validate';
import type { ModelConfig } from './config';
import { type Checkpoint, readCheckpoint } from './folder';
import type { ManifestTensor } from './manifest';
import type { Quantization } from './quantization';

/** Contents of a checkpoint, from its configuration and headers alone. */
export interface CheckpointReport {
  /** The folder, or the GGUF file, that was given. */
  readonly folder: string;
  /** The checked contents of its configuration files. */
  readonly config: ModelConfig;
  /** The weight files, sorted by name: safetensors, or GGUF. */
  readonly files: readonly {
    /** The folder's path and the file's name. */
    readonly path: string;
    /** Size of the whole file. */
    readonly bytes: number;
  }[];
  /**
   * Every tensor, needed or not, in file order; `file` is an index into `files`. A stack of experts of a GGUF file is
   * listed expert by expert.
   */
  readonly tensors: readonly ManifestTensor[];
  /** Names of tensors that the model ignores. */
  readonly unknown: readonly string[];
  /** The dtype of most bytes of unquantized tensors: the compute dtype of `dtype: 'auto'`. */
  readonly dtype: FloatType;
  /**
   * The dtype of most matmul weights after loading: `'q8'`, `'q5m'`, `'q5'`, `'q4m'` or `'q4'` of a quantized checkpoint or GGUF
   * file, `'fp8'` of one that is loaded on a GPU.
   */
  readonly weights: FloatType | Quantization['dtype'];
  /** Bytes of the tensors that the model uses. */
  readonly bytes: number;
  /** Number of parameters in the tensors that the model uses. */
  readonly parameters: {
    /** All of them. */
    readonly total: number;
    /** Used for one token: without the experts that it is not routed to. */
    readonly active: number;
  };
  /** `__metadata__` of the safetensors headers, or the metadata of a GGUF file but for lists and long texts. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Whether there is a tokenizer: tokenizer.json, or the vocabulary of a GGUF file. */
  readonly tokenizer: boolean;
  /** Contradictions between the files whose resolution is clear; docs/checkpoints.md lists them. */
  readonly warnings: readonly string[];
}

/** Options of `inspectCheckpoint`. */
export interface InspectOptions {
  /** Name of the configuration file inside the folder. @default 'config.json' */
  readonly configFile?: string;
}

/** Reads everything about a checkpoint except its weights. Throws `io`, `invalid_checkpoint` or `unsupported_model`. */
export async function inspectCheckpoint(
  folder: string,
  options: InspectOptions = {},
): Promise<CheckpointReport> {
  stringOption('folder', folder);
  const { configFile } = optionsObject('options', options, { configFile: true });
  return reportOf(folder, await readCheckpoint(folder, { configFile }));
}

/** The report on a checkpoint that has been read. */
export function reportOf(
  folder: string,
  { config, tokenizer, manifest, selected, warnings }: Checkpoint,
): CheckpointReport {
  const { tensors, unknown, dtype, weights, bytes } = selected;
  const total = tensors.reduce((sum, tensor) => sum + tensor.shape.reduce((a, b) => a * b, 1), 0);
  const idle = expertsOf(config.architecture).reduce(
    (sum, { experts, expertsPerToken, width }) =>
      sum + (experts - expertsPerToken) * 3 * config.architecture.hidden * width,
    0,
  );
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

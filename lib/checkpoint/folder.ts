import { printableMessage } from '../support/printable';
import { type CheckpointFiles, openCheckpoint } from './checkpoint-files';
import { type ModelConfig, type ReadConfigOptions, readConfig } from './config';
import type { Manifest } from './manifest';
import { withEndOfTurn } from './special-tokens';
import { type SelectedTensors, selectTensors } from './tensors';
import { Tokenizer } from './tokenizer/tokenizer';

/** Contents of a checkpoint folder besides its weights. */
export interface Settings {
  readonly config: ModelConfig;
  /** null when there is no tokenizer.json. */
  readonly tokenizer: Tokenizer | null;
  /** Contradictions whose resolution is clear: docs/checkpoints.md. */
  readonly warnings: readonly string[];
}

/** How to read the configuration. */
export type SettingsOptions = Pick<ReadConfigOptions, 'configFile' | 'specialTokens'>;

/** Reads both together: the config limits the ids of the tokenizer, which may name special tokens. */
export async function readSettings(
  checkpoint: string | CheckpointFiles,
  options: SettingsOptions = {},
): Promise<Settings> {
  const files = typeof checkpoint === 'string' ? await openCheckpoint(checkpoint) : checkpoint;
  let tokenizer: Tokenizer | null = null;
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const namedTokens = async (vocabulary: number) => {
    tokenizer = await Tokenizer.from(files, vocabulary, warn);
    return tokenizer?.named ?? {};
  };
  const config = await readConfig(files, { ...options, namedTokens, warn });
  return { config: withEndOfTurn(config, tokenizer, options.specialTokens), tokenizer, warnings };
}

/** Everything in a checkpoint folder except the weights themselves. */
export interface Checkpoint extends Settings {
  readonly files: CheckpointFiles;
  readonly manifest: Manifest;
  /** The tensors that the model needs. */
  readonly selected: SelectedTensors;
}

/**
 * Reads configuration, tokenizer and headers; `warnings` has the warnings of all three, safe to print.
 * Throws as `readConfig`, `Tokenizer.load`, `readManifest` and `selectTensors` do.
 */
export async function readCheckpoint(folder: string, options: SettingsOptions = {}): Promise<Checkpoint> {
  const files = await openCheckpoint(folder);
  const settings = await readSettings(files, options);
  const manifest = await files.readManifest();
  const selected = selectTensors(manifest, settings.config);
  const warnings = [...settings.warnings, ...manifest.warnings, ...selected.warnings].map(printableMessage);
  return { ...settings, files, manifest, selected, warnings };
}

import { printableMessage } from '../support/printable';
import { type ModelConfig, type ReadConfigOptions, readConfig } from './config';
import { type Manifest, readManifest } from './manifest';
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
export async function readSettings(folder: string, options: SettingsOptions = {}): Promise<Settings> {
  let tokenizer: Tokenizer | null = null;
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const namedTokens = async (vocabulary: number) => {
    tokenizer = await Tokenizer.load(folder, vocabulary, warn);
    return tokenizer?.named ?? {};
  };
  return { config: await readConfig(folder, { ...options, namedTokens, warn }), tokenizer, warnings };
}

/** Everything in a checkpoint folder except the weights themselves. */
export interface Checkpoint extends Settings {
  readonly manifest: Manifest;
  /** The tensors that the model needs. */
  readonly selected: SelectedTensors;
}

/**
 * Reads configuration, tokenizer and headers; `warnings` has the warnings of all three, safe to print.
 * Throws as `readConfig`, `Tokenizer.load`, `readManifest` and `selectTensors` do.
 */
export async function readCheckpoint(folder: string, options: SettingsOptions = {}): Promise<Checkpoint> {
  const settings = await readSettings(folder, options);
  const manifest = await readManifest(folder);
  const selected = selectTensors(manifest, settings.config);
  const warnings = [...settings.warnings, ...manifest.warnings, ...selected.warnings].map(printableMessage);
  return { ...settings, manifest, selected, warnings };
}

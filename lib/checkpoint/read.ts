import { printableMessage } from '../printable';
import { readSettings, type Settings } from '../settings';
import { type Manifest, readManifest } from './manifest';
import { type SelectedTensors, selectTensors } from './tensors';

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
export async function readCheckpoint(folder: string, configFile?: string): Promise<Checkpoint> {
  const settings = await readSettings(folder, configFile);
  const { config } = settings;
  const manifest = await readManifest(folder);
  const selected = selectTensors(manifest, config.model, config.quantization);
  const warnings = [...settings.warnings, ...manifest.warnings, ...selected.warnings].map(printableMessage);
  return { ...settings, manifest, selected, warnings };
}

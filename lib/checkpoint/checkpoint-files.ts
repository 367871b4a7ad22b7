import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RND1Error } from '../support/errors';
import { fileSize, ioError, readJsonObject, readText } from './files';
import { GgufCheckpoint, ggufFileIn } from './gguf/gguf-checkpoint';
import { INDEX_FILE, type Manifest, readManifest, SINGLE_FILE } from './manifest';

/** The files of a checkpoint: those of a folder, or what the metadata of a GGUF file stands for. */
export interface CheckpointFiles {
  readonly kind: 'folder' | 'gguf';
  /** The folder, or the GGUF file: opening it again gives the same. */
  readonly place: string;
  /** Where a file is read from, for errors. */
  pathOf(name: string): string;
  /** As `readJsonObject`. */
  readJson(name: string, warn?: (message: string) => void): Promise<Record<string, unknown> | null>;
  /** As `readText`. */
  readText(name: string): Promise<string | null>;
  /** Throws `invalid_checkpoint` for anything missing or inconsistent, `io` for files that cannot be read. */
  readManifest(): Promise<Manifest>;
}

/** Whether a path names a GGUF file, which need not exist. */
export const isGgufPath = (path: string): boolean => path.endsWith('.gguf');

/**
 * Opens a folder or a GGUF file. A folder without safetensors files that holds one GGUF file is that file.
 * Throws `io` if there is neither, and as `GgufCheckpoint.open` does.
 */
export async function openCheckpoint(place: string): Promise<CheckpointFiles> {
  const stats = await stat(place).catch((error) => {
    throw ioError(place, error);
  });
  if (!stats.isDirectory()) {
    if (stats.isFile() && isGgufPath(place)) return GgufCheckpoint.open(place);
    throw new RND1Error('io', `${place} is not a folder, nor a GGUF file`);
  }
  for (const name of [SINGLE_FILE, INDEX_FILE]) {
    if ((await fileSize(join(place, name))) !== null) return folderFiles(place);
  }
  const gguf = await ggufFileIn(place);
  return gguf === null ? folderFiles(place) : GgufCheckpoint.open(gguf);
}

function folderFiles(folder: string): CheckpointFiles {
  return {
    kind: 'folder',
    place: folder,
    pathOf: (name) => join(folder, name),
    readJson: (name, warn) => readJsonObject(join(folder, name), warn),
    readText: (name) => readText(join(folder, name)),
    readManifest: () => readManifest(folder),
  };
}

import { join } from 'node:path';
import { RND1Error } from '../errors';
import { checkFolder, fileSize, readText } from './files';
import { firstFew, quote } from './format';
import { ENTRY_LIMIT, JsonReader } from './json-reader';
import { type HeaderTensor, readHeader } from './safetensors';

/** All weights in one file. */
export const SINGLE_FILE = 'model.safetensors';
/** Which tensor is in which shard. */
export const INDEX_FILE = 'model.safetensors.index.json';

/** Where one tensor lies. */
export interface ManifestTensor extends HeaderTensor {
  /** Index into `files`. */
  readonly file: number;
}

/** Every tensor of a checkpoint folder: which file, where in it, dtype and shape. */
export interface Manifest {
  readonly folder: string;
  /** Paths of the weight files. */
  readonly files: readonly string[];
  /** Their sizes in bytes. */
  readonly fileBytes: readonly number[];
  readonly tensors: ReadonlyMap<string, ManifestTensor>;
  /** `__metadata__` of all files together. */
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads the headers of a checkpoint folder: `model.safetensors`, or else the shards that
 * `model.safetensors.index.json` lists. Weights themselves are not read.
 * Throws `invalid_checkpoint` for anything missing or inconsistent, `io` for what cannot be read.
 */
export async function readManifest(folder: string): Promise<Manifest> {
  await checkFolder(folder);
  if ((await fileSize(join(folder, SINGLE_FILE))) !== null) return readFiles(folder, [SINGLE_FILE]);

  const indexPath = join(folder, INDEX_FILE);
  const index = await readText(indexPath);
  if (index === null) {
    throw new RND1Error('invalid_checkpoint', `${folder} has neither ${SINGLE_FILE} nor ${INDEX_FILE}`);
  }
  const weightMap = parseIndex(index, indexPath);
  const shards = [...new Set(weightMap.values())].sort();
  const missing: string[] = [];
  for (const shard of shards) {
    if ((await fileSize(join(folder, shard))) === null) missing.push(quote(shard));
  }
  if (missing.length > 0) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${indexPath}: ${missing.length} of ${shards.length} shards are missing: ${firstFew(missing)}`,
    );
  }
  const manifest = await readFiles(folder, shards);
  checkIndex(weightMap, shards, manifest, indexPath);
  return manifest;
}

async function readFiles(folder: string, names: readonly string[]): Promise<Manifest> {
  const files = names.map((name) => join(folder, name));
  const fileBytes: number[] = [];
  const tensors = new Map<string, ManifestTensor>();
  const metadata = new Map<string, string>();
  for (const [file, path] of files.entries()) {
    const header = await readHeader(path);
    fileBytes.push(header.fileBytes);
    for (const [key, value] of header.metadata) metadata.set(key, value);
    for (const tensor of header.tensors) {
      const twin = tensors.get(tensor.name);
      if (twin) {
        throw new RND1Error(
          'invalid_checkpoint',
          `tensor ${quote(tensor.name)} is in two files: ${files[twin.file]} and ${path}`,
        );
      }
      tensors.set(tensor.name, { ...tensor, file });
    }
    if (tensors.size > ENTRY_LIMIT) {
      throw new RND1Error('invalid_checkpoint', `${folder} holds more than ${ENTRY_LIMIT} tensors`);
    }
  }
  return { folder, files, fileBytes, tensors, metadata };
}

/** Tensor name → file name, as the index has it. */
export function parseIndex(text: string, path: string): ReadonlyMap<string, string> {
  const weightMap = new Map<string, string>();
  const reader = new JsonReader(text, path, { constants: true });
  reader.object((section) => {
    if (section !== 'weight_map') {
      reader.skip();
      return;
    }
    reader.object((name) => {
      const file = reader.string();
      if (!isInside(file)) {
        throw new RND1Error(
          'invalid_checkpoint',
          `${path}: tensor ${quote(name)} is mapped to ${quote(file)}, which is not a path inside the folder`,
        );
      }
      weightMap.set(name, file);
    });
  });
  reader.end();
  if (weightMap.size === 0) throw new RND1Error('invalid_checkpoint', `${path} has no weight_map`);
  return weightMap;
}

/** A relative path of plain names. Backslash and colon are refused because Windows gives them a meaning. */
function isInside(file: string): boolean {
  return (
    !/[\\:\0]/.test(file) && file.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  );
}

function checkIndex(
  weightMap: ReadonlyMap<string, string>,
  shards: readonly string[],
  manifest: Manifest,
  path: string,
): void {
  const astray: string[] = [];
  for (const [name, shard] of weightMap) {
    const tensor = manifest.tensors.get(name);
    if (!tensor || shards[tensor.file] !== shard) astray.push(`${quote(name)} (${quote(shard)})`);
  }
  if (astray.length > 0) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${path} lists ${astray.length} tensors that are not in their shard: ${firstFew(astray)}`,
    );
  }
}

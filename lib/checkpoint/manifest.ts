import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TensorNames } from '../families/family';
import { RND1Error } from '../support/errors';
import { printableName } from '../support/printable';
import { checkFolder, fileSize, readText } from './files';
import { firstFew, quote } from './format';
import { ENTRY_LIMIT, JsonReader } from './json-reader';
import { formatKey } from './quantization';
import { type HeaderTensor, readHeader } from './safetensors';

/** All weights in one file. */
export const SINGLE_FILE = 'model.safetensors';
/** The map of tensors to shards. */
export const INDEX_FILE = 'model.safetensors.index.json';

/** One tensor and its file. */
export interface ManifestTensor extends HeaderTensor {
  /** Index into `files`. */
  readonly file: number;
  /** GGUF only: rows of a head whose rotated pairs are side by side (types/native.d.ts). */
  readonly headRows?: number;
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
  /** Names of the tensors by role, if the format has its own and not those of the family. */
  readonly names?: TensorNames;
  /** Differences between index and files, which take precedence. */
  readonly warnings: readonly string[];
}

/** Contents of an index. */
export interface ShardIndex {
  /** Tensor name → file name. */
  readonly weightMap: ReadonlyMap<string, string>;
  /** Bytes of all tensors; null when not given. */
  readonly totalSize: number | null;
}

/** Limit of values in the metadata. */
const METADATA_LIMIT = 10_000;

/**
 * Reads the headers of a checkpoint folder: `model.safetensors`, or else the shards that
 * `model.safetensors.index.json` lists. Weights themselves are not read.
 * Throws `invalid_checkpoint` for anything missing or inconsistent, `io` for files that cannot be read.
 */
export async function readManifest(folder: string): Promise<Manifest> {
  await checkFolder(folder);
  const indexPath = join(folder, INDEX_FILE);
  if ((await fileSize(join(folder, SINGLE_FILE))) !== null) {
    const manifest = await readFiles(folder, [SINGLE_FILE]);
    if ((await fileSize(indexPath)) === null) return manifest;
    return { ...manifest, warnings: [`${indexPath} is not read: the folder has ${SINGLE_FILE}`] };
  }

  const index = await readText(indexPath);
  if (index === null) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${folder} has neither ${SINGLE_FILE} nor ${INDEX_FILE}${await othersIn(folder)}`,
    );
  }
  const shardIndex = parseIndex(index, indexPath);
  const { weightMap } = shardIndex;
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
  return { ...manifest, warnings: indexWarnings(shardIndex, shards, manifest, indexPath) };
}

/** Other weight files of a folder, for a message. */
async function othersIn(folder: string): Promise<string> {
  const names = await readdir(folder).catch(() => []);
  const others = names.filter((name) => /\.(safetensors|bin|pth?|ckpt)$/.test(name)).sort();
  return others.length === 0 ? '' : `; other weight files are not read: ${firstFew(others.map(quote))}`;
}

async function readFiles(folder: string, names: readonly string[]): Promise<Manifest> {
  const files = names.map((name) => join(folder, name));
  const fileBytes: number[] = [];
  const tensors = new Map<string, ManifestTensor>();
  const metadata = new Map<string, string>();
  for (const [file, path] of files.entries()) {
    const header = await readHeader(path);
    fileBytes.push(header.fileBytes);
    for (const [key, value] of header.metadata) {
      const before = metadata.get(key);
      if (key === formatKey && before !== undefined && before !== value) {
        throw new RND1Error(
          'invalid_checkpoint',
          `${path}: ${key} is ${quote(value)}, but ${quote(before)} in another file`,
        );
      }
      metadata.set(key, value);
    }
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
  return { folder, files, fileBytes, tensors, metadata, warnings: [] };
}

/** Parses the text of an index. Throws `invalid_checkpoint` if a path leads out of the folder. */
export function parseIndex(text: string, path: string): ShardIndex {
  const weightMap = new Map<string, string>();
  let totalSize: number | null = null;
  const reader = new JsonReader(text, path, { constants: true, values: METADATA_LIMIT });
  reader.object((section) => {
    if (section === 'metadata') {
      const size = (reader.value() as { total_size?: unknown } | null)?.total_size;
      if (typeof size === 'number') totalSize = size;
      return;
    }
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
  return { weightMap, totalSize };
}

/**
 * Whether a path is relative, with names that file systems accept. Backslash and colon are refused because of Windows,
 * control characters because paths are shown.
 */
function isInside(file: string): boolean {
  return (
    file.length <= 1024 &&
    printableName(file) === file &&
    !/[\\:]/.test(file) &&
    file.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && part.length <= 255)
  );
}

/** Differences between an index and the shards. `selectTensors` throws if the model needs a missing one. */
function indexWarnings(
  { weightMap, totalSize }: ShardIndex,
  shards: readonly string[],
  { tensors }: Manifest,
  path: string,
): string[] {
  const warnings: string[] = [];
  const warn = (names: readonly string[], what: string) => {
    if (names.length > 0) warnings.push(`${path}: ${what}: ${firstFew(names)}`);
  };
  const [absent, moved]: [string[], string[]] = [[], []];
  for (const [name, shard] of weightMap) {
    const tensor = tensors.get(name);
    if (tensor === undefined) absent.push(`${quote(name)} (${quote(shard)})`);
    else if (shards[tensor.file] !== shard) moved.push(`${quote(name)} (${quote(shard)})`);
  }
  warn(absent, `${absent.length} tensors are listed that no shard holds`);
  warn(moved, `${moved.length} tensors are in another shard than listed, and taken from there`);
  const unlisted = [...tensors.keys()].filter((name) => !weightMap.has(name)).map(quote);
  warn(unlisted, `${unlisted.length} tensors of the shards are not listed, and taken anyway`);
  const bytes = [...tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0);
  if (totalSize !== null && totalSize !== bytes) {
    warnings.push(`${path}: total_size is ${totalSize}, the tensors have ${bytes} bytes`);
  }
  return warnings;
}

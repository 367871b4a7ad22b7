import { RND1Error } from '../../support/errors';
import { fileSize, readExactly, refusePointer, withFile } from '../files';
import { quote, shapeText } from '../format';
import { ENTRY_LIMIT } from '../json-reader';
import type { HeaderTensor } from '../safetensors';
import { Cursor, EndOfBytes } from './cursor';
import { type MetadataValue, readMetadata } from './metadata';
import { tensorTypes } from './tensor-types';

/** Bytes that are read first; a vocabulary of 150,000 tokens has 6 MB with its merges. */
const firstBytes = 16 * 2 ** 20;
/** Limit of a header's bytes. */
const headerLimit = 256 * 2 ** 20;
/** Limit of dimensions, the format's own. */
const rankLimit = 4;
/** Bytes of a tensor's name. */
const nameLimit = 1024;

/** A tensor of a GGUF file. Its dimensions are stored in the opposite order. */
export type GgufTensor = HeaderTensor;

/** Everything of a GGUF file but its weights. */
export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** In order of their offsets. */
  readonly tensors: readonly GgufTensor[];
  readonly fileBytes: number;
}

/**
 * Reads and checks the header of a GGUF file of version 2 or 3; no weight is read.
 * Throws `invalid_checkpoint` for anything that the format forbids, naming the key or the tensor, and `io` when the file
 * cannot be read.
 */
export async function readGgufHeader(path: string): Promise<GgufHeader> {
  const fileBytes = await fileSize(path);
  if (fileBytes === null) throw new RND1Error('invalid_checkpoint', `${path} is missing`);
  return withFile(path, async (handle) => {
    for (let bytes = Math.min(firstBytes, fileBytes); ; bytes = Math.min(4 * bytes, headerLimit, fileBytes)) {
      try {
        return parseGgufHeader(await readExactly(handle, path, 0, bytes), fileBytes, path);
      } catch (error) {
        if (!(error instanceof EndOfBytes)) throw error;
        if (bytes === fileBytes) {
          throw new RND1Error(
            'invalid_checkpoint',
            `${path} is truncated: its header is longer than the file`,
          );
        }
        if (bytes === headerLimit) {
          throw new RND1Error('invalid_checkpoint', `${path}: its header has more than ${headerLimit} bytes`);
        }
      }
    }
  });
}

/**
 * Parses a header at the start of `bytes`; `fileBytes` is the size of the whole file, `path` its name in errors. Throws
 * `EndOfBytes` if the header goes on beyond them.
 */
export function parseGgufHeader(bytes: Uint8Array, fileBytes: number, path: string): GgufHeader {
  const cursor = new Cursor(bytes, path);
  refusePointer(bytes.subarray(0, 32), path);
  cursor.need(4);
  if (Buffer.from(bytes.subarray(0, 4)).toString('latin1') !== 'GGUF') {
    throw cursor.invalid('not a GGUF file: it does not begin with GGUF');
  }
  cursor.offset = 4;
  const version = cursor.uint32();
  if (version !== 2 && version !== 3) {
    throw cursor.invalid(
      version > 2 ** 16
        ? 'big-endian GGUF files are not read'
        : `GGUF version ${version} is not read, only versions 2 and 3`,
    );
  }
  const tensorCount = cursor.uint64('the number of tensors');
  const keyCount = cursor.uint64('the number of keys');
  if (tensorCount > ENTRY_LIMIT) {
    throw cursor.invalid(`it would have ${tensorCount} tensors; the limit is ${ENTRY_LIMIT}`);
  }
  const metadata = readMetadata(cursor, keyCount);
  const alignment = alignmentOf(metadata, cursor);
  const found = Array.from({ length: tensorCount }, () => readTensor(cursor));
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  const tensors = found
    .map((tensor) => ({ ...tensor, offset: dataStart + tensor.offset }))
    .sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  checkPlaces(tensors, { dataStart, alignment, fileBytes }, cursor);
  return { metadata, tensors, fileBytes };
}

function alignmentOf(metadata: ReadonlyMap<string, MetadataValue>, cursor: Cursor): number {
  const alignment = metadata.get('general.alignment') ?? 32;
  if (typeof alignment === 'number' && [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096].includes(alignment)) {
    return alignment;
  }
  throw cursor.invalid(
    `general.alignment must be a power of two from 8 to 4096, not ${String(alignment).slice(0, 40)}`,
  );
}

/** A tensor whose offset counts from the start of the data. */
function readTensor(cursor: Cursor): GgufTensor {
  const name = cursor.string("a tensor's name", nameLimit);
  const error = (problem: string) => cursor.invalid(`tensor ${quote(name)} ${problem}`);
  const rank = cursor.uint32();
  if (rank < 1 || rank > rankLimit) throw error(`has ${rank} dimensions, not 1 to ${rankLimit}`);
  const shape = Array.from({ length: rank }, () => cursor.uint64(`a dimension of ${quote(name)}`)).reverse();
  const number = cursor.uint32();
  const offset = cursor.uint64(`the offset of ${quote(name)}`);
  const type = tensorTypes.get(number);
  if (type === undefined) throw error(`has the unknown type ${number}`);
  const elements = shape.reduce((product, size) => product * size, 1);
  if (elements === 0 || !Number.isSafeInteger(elements * type.bytes)) {
    throw error(`has the impossible shape ${shapeText(shape)}`);
  }
  const columns = shape[rank - 1] as number;
  if (columns % type.columns !== 0) {
    throw error(`is ${type.name} with ${columns} columns, which are not whole blocks of ${type.columns}`);
  }
  return { name, dtype: type.name, shape, offset, bytes: (elements / type.columns) * type.bytes };
}

interface Places {
  readonly dataStart: number;
  readonly alignment: number;
  readonly fileBytes: number;
}

/** Checks that the tensors, in order of offset, are aligned, apart from each other and inside the file. */
function checkPlaces(tensors: readonly GgufTensor[], places: Places, cursor: Cursor): void {
  const { dataStart, alignment, fileBytes } = places;
  const names = new Set<string>();
  let end = dataStart;
  let previous = '';
  for (const { name, offset, bytes } of tensors) {
    const error = (problem: string) => cursor.invalid(`tensor ${quote(name)} ${problem}`);
    if (names.has(name)) throw error('occurs twice');
    names.add(name);
    if ((offset - dataStart) % alignment !== 0) {
      throw error(`begins at byte ${offset - dataStart} of the data, which is no multiple of ${alignment}`);
    }
    if (offset < end) throw cursor.invalid(`tensors ${quote(previous)} and ${quote(name)} overlap`);
    if (offset - end >= alignment)
      throw cursor.invalid(`${offset - end} bytes before tensor ${quote(name)} belong to no tensor`);
    end = offset + bytes;
    previous = name;
    if (end > fileBytes) {
      throw new RND1Error(
        'invalid_checkpoint',
        `${cursor.path} is truncated: tensor ${quote(name)} ends at byte ${end}, the file at ${fileBytes}`,
      );
    }
  }
}

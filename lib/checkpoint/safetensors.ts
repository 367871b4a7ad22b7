import { RND1Error } from '../support/errors';
import { bitsOf } from './dtype';
import { decodeUtf8, fileSize, readExactly, refusePointer, withFile } from './files';
import { quote, shapeText } from './format';
import { JsonReader } from './json-reader';

/** The format's own limit of the header's length in bytes. */
export const HEADER_LIMIT = 100_000_000;

/** Limit of dimensions. */
const RANK_LIMIT = 32;

/** One tensor of a header. */
export interface HeaderTensor {
  /** As the file has it. */
  readonly name: string;
  /** As the format spells it: `'BF16'`. */
  readonly dtype: string;
  /** Row-major. */
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** Length of the data. */
  readonly bytes: number;
}

/** Contents of the header of one safetensors file. */
export interface Header {
  /** In order of their offsets. */
  readonly tensors: readonly HeaderTensor[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly fileBytes: number;
}

/**
 * Reads and checks the header of a safetensors file (8 bytes of length, JSON, data); no weight is read.
 * Throws `invalid_checkpoint` for anything that the format forbids and `io` when the file cannot be read.
 */
export async function readHeader(path: string): Promise<Header> {
  const fileBytes = await fileSize(path);
  if (fileBytes === null) throw new RND1Error('invalid_checkpoint', `${path} is missing`);
  return withFile(path, async (handle) => {
    const start = await readExactly(handle, path, 0, 8);
    const length = headerLength(start, fileBytes, path);
    return parseHeader(await readExactly(handle, path, 8, length), fileBytes, path);
  });
}

/** Parses the JSON of a header; `fileBytes` is the size of the whole file, `where` its name in errors. */
export function parseHeader(json: Uint8Array, fileBytes: number, where: string): Header {
  const dataStart = 8 + json.length;
  const tensors: HeaderTensor[] = [];
  const metadata = new Map<string, string>();
  if (json[0] !== 0x7b) {
    throw new RND1Error('invalid_checkpoint', `${where}: header: expected '{' as the first byte`);
  }
  const reader = new JsonReader(decodeUtf8(json, `${where}: the header`), `${where}: header`);
  reader.object((name) => {
    if (name === '__metadata__') {
      // Some writers store null for none.
      if (!reader.acceptNull()) reader.object((key) => metadata.set(key, reader.string()));
    } else {
      tensors.push(readTensor(reader, name, dataStart, where));
    }
  });
  reader.end();
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  checkRanges(tensors, dataStart, fileBytes, where);
  return { tensors, metadata, fileBytes };
}

function headerLength(start: Uint8Array, fileBytes: number, path: string): number {
  const view = new DataView(start.buffer, start.byteOffset, 8);
  const length = view.getBigUint64(0, true);
  refusePointer(start, path);
  if (length > HEADER_LIMIT) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${path} is not a safetensors file: its header would have ${length} bytes; the limit is ${HEADER_LIMIT}`,
    );
  }
  if (8n + length > fileBytes) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${path} is truncated: its header needs ${8n + length} bytes, the file has ${fileBytes}`,
    );
  }
  return Number(length);
}

function readTensor(reader: JsonReader, name: string, dataStart: number, where: string): HeaderTensor {
  const error = (problem: string) =>
    new RND1Error('invalid_checkpoint', `${where}: tensor ${quote(name)} ${problem}`);
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let range: number[] | undefined;
  const integers = () => {
    const values: number[] = [];
    reader.array(() => values.push(reader.integer()), RANK_LIMIT);
    return values;
  };
  reader.object((key) => {
    if (key === 'dtype') dtype = reader.string();
    else if (key === 'shape') shape = integers();
    else if (key === 'data_offsets') range = integers();
    else reader.skip();
  });
  if (dtype === undefined) throw error('has no dtype');
  if (shape === undefined) throw error('has no shape');
  if (range === undefined) throw error('has no data_offsets');
  const bits = bitsOf(dtype);
  if (bits === undefined) throw error(`has the unknown dtype ${quote(dtype)}`);
  const [begin, end] = range;
  if (range.length !== 2 || begin === undefined || end === undefined || end < begin) {
    throw error(`has data_offsets ${shapeText(range)}, expected [begin, end] with begin ≤ end`);
  }
  // Overflow is refused even before a size of 0: the format's readers count in 64 bits.
  const elements = shape.reduce((product, size) => (product < 2 ** 64 ? product * size : Infinity), 1);
  const needed = (elements * bits) / 8;
  if (!Number.isSafeInteger(elements) || !Number.isSafeInteger(needed)) {
    throw error(`has shape ${shapeText(shape)} of ${dtype}, which is not a whole number of bytes below 2^53`);
  }
  if (needed !== end - begin) {
    throw error(`has ${end - begin} bytes, but shape ${shapeText(shape)} of ${dtype} needs ${needed}`);
  }
  if (!Number.isSafeInteger(dataStart + end)) throw error('ends beyond 2^53 bytes');
  return { name, dtype, shape, offset: dataStart + begin, bytes: needed };
}

/** Checks that the tensors, in order of offset, cover the data without overlap, gap or remainder. */
function checkRanges(
  tensors: readonly HeaderTensor[],
  dataStart: number,
  fileBytes: number,
  where: string,
): void {
  const error = (problem: string) => new RND1Error('invalid_checkpoint', `${where}${problem}`);
  let previous: HeaderTensor | undefined;
  let position = dataStart;
  for (const tensor of tensors) {
    if (tensor.offset < position) {
      throw error(`: tensors ${quote(previous?.name ?? '')} and ${quote(tensor.name)} overlap`);
    }
    if (tensor.offset > position) {
      throw error(
        `: ${tensor.offset - position} bytes before tensor ${quote(tensor.name)} belong to no tensor`,
      );
    }
    position += tensor.bytes;
    previous = tensor;
  }
  if (position > fileBytes) {
    const cut = tensors.find((tensor) => tensor.offset + tensor.bytes > fileBytes);
    throw error(
      ` is truncated: expected ${position} bytes, it has ${fileBytes}; tensor ${quote(cut?.name ?? '')} is the first cut off`,
    );
  }
  if (position < fileBytes) throw error(`: ${fileBytes - position} bytes after the last tensor`);
}

import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { ioError, readExactly } from '../../checkpoint/files';
import { RND1Error } from '../../support/errors';
import { formatBytes } from '../../support/format-bytes';

/** Bytes before the tokens in llm.c's files: 256 integers of 32 bits: magic number, version, number of tokens. */
export const headerBytes = 1024;

/** Bytes of a token by the magic number: uint16, as llm.c writes GPT-2's tokens, and uint32, as it writes Llama 3's. */
const widths: ReadonlyMap<number, 2 | 4> = new Map([
  [20_240_520, 2],
  [20_240_801, 4],
]);

/** The magic number of files with tokens of that many bytes. */
export const magicOf = (tokenBytes: 2 | 4) => (tokenBytes === 2 ? 20_240_520 : 20_240_801);

/** Smaller files are held in memory. */
const heldBytes = 2 ** 26;

/** A file of token ids, open for reading. */
export class TokenFile {
  private constructor(
    readonly path: string,
    /** Of the whole file. */
    readonly bytes: number,
    /** Of tokens. */
    readonly count: number,
    /** Of the first MiB. */
    readonly sha256: string,
    private readonly skip: number,
    private readonly width: 2 | 4,
    private readonly handle: FileHandle,
    private readonly held: Uint8Array | null,
  ) {}

  /**
   * Opens a file of llm.c's form; without its header, as nanoGPT writes them, if `tokenBytes` is given.
   *
   * @throws RND1Error `io`, `invalid_data` for other files
   */
  static async open(path: string, tokenBytes?: 2 | 4): Promise<TokenFile> {
    const handle = await open(path, 'r').catch((error) => {
      throw ioError(path, error);
    });
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw new RND1Error('io', `${path} is not a regular file`);
      const { size } = stats;
      const start = await readExactly(handle, path, 0, Math.min(size, 2 ** 20));
      const { skip, width, count } = layoutOf(path, start, size, tokenBytes);
      const held = size <= heldBytes ? await readExactly(handle, path, 0, size) : null;
      const sha256 = createHash('sha256').update(start).digest('hex');
      return new TokenFile(path, size, count, sha256, skip, width, handle, held);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** `count` tokens from the one numbered `first` on, copied. Throws `invalid_data` for ids that are not below `vocabulary`. */
  async read(first: number, count: number, vocabulary: number): Promise<Int32Array> {
    const { skip, width, held, handle, path } = this;
    const start = skip + first * width;
    const length = count * width;
    const bytes = held?.slice(start, start + length) ?? (await readExactly(handle, path, start, length));
    const tokens =
      width === 2
        ? Int32Array.from(new Uint16Array(bytes.buffer, bytes.byteOffset, count))
        : new Int32Array(bytes.buffer, bytes.byteOffset, count);
    const wrong = tokens.findIndex((token) => token < 0 || token >= vocabulary);
    if (wrong >= 0)
      throw new RND1Error(
        'invalid_data',
        `${path}: token ${first + wrong} is ${(tokens[wrong] as number) >>> 0}, but the model's ids are below ${vocabulary}`,
      );
    return tokens;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

function layoutOf(
  path: string,
  start: Uint8Array,
  size: number,
  tokenBytes: 2 | 4 | undefined,
): { readonly skip: number; readonly width: 2 | 4; readonly count: number } {
  const header = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const known = size >= headerBytes ? widths.get(header.getInt32(0, true)) : undefined;
  if (known === undefined) {
    if (tokenBytes === undefined)
      throw new RND1Error(
        'invalid_data',
        `${path} is not a token file: it has no header of llm.c (give tokenBytes for a file without one), and its name is not that of JSONL or text`,
      );
    if (size % tokenBytes !== 0)
      throw new RND1Error(
        'invalid_data',
        `${path} has ${size} bytes, which are no whole tokens of ${tokenBytes} bytes`,
      );
    return { skip: 0, width: tokenBytes, count: size / tokenBytes };
  }
  const [version, count] = [header.getInt32(4, true), header.getUint32(8, true)];
  if (version < 1)
    throw new RND1Error('invalid_data', `${path}: version ${version} of a token file is not known`);
  const expected = headerBytes + count * known;
  if (size !== expected)
    throw new RND1Error(
      'invalid_data',
      `${path} has ${formatBytes(size)} (${size} bytes), but its header announces ${count} tokens, which take ${expected}`,
    );
  return { skip: headerBytes, width: known, count };
}

import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { RND1Error } from '../../support/errors';
import { partialName, replaceFile, writing } from '../../support/write-files';
import { headerBytes, magicOf } from './token-file';
import type { TokenIndex } from './token-index';

/** Tokens that are collected before they are written. */
const pieceTokens = 2 ** 18;

/** The largest number that the header holds. */
const mostTokens = 2 ** 31 - 1;

/** Writes a token file of llm.c's form and its index, which appear when both are complete. */
export class TokenWriter {
  readonly #piece: Uint16Array | Uint32Array;
  #filled = 0;
  #count = 0;
  readonly #starts: number[] = [];
  readonly #prompts: number[] = [];
  #prompted = false;

  private constructor(
    readonly path: string,
    private readonly partial: string,
    private readonly handle: FileHandle,
    private readonly tokenBytes: 2 | 4,
  ) {
    this.#piece = tokenBytes === 2 ? new Uint16Array(pieceTokens) : new Uint32Array(pieceTokens);
  }

  /** @param path of the token file; the index's ends in .idx.json instead of .bin */
  static async create(path: string, tokenBytes: 2 | 4): Promise<TokenWriter> {
    const partial = partialName(path);
    const handle = await writing(path, () => open(partial, 'wx'));
    await writing(path, () => handle.write(Buffer.alloc(headerBytes)));
    return new TokenWriter(path, partial, handle, tokenBytes);
  }

  /** Tokens so far. */
  get count(): number {
    return this.#count;
  }

  /** Documents so far. */
  get documents(): number {
    return this.#starts.length;
  }

  /** Adds a document; the first `prompt` of its tokens are given, not learned. */
  async add(tokens: Int32Array, prompt = 0): Promise<void> {
    if (this.#count + tokens.length > mostTokens)
      throw new RND1Error(
        'invalid_data',
        `${this.path} would have more than ${mostTokens} tokens: use shards`,
      );
    this.#starts.push(this.#count);
    this.#prompts.push(prompt);
    if (prompt > 0) this.#prompted = true;
    for (let i = 0; i < tokens.length; ) {
      const part = tokens.subarray(i, i + pieceTokens - this.#filled);
      this.#piece.set(part, this.#filled);
      this.#filled += part.length;
      i += part.length;
      if (this.#filled === pieceTokens) await this.#flush();
    }
    this.#count += tokens.length;
  }

  /** Puts both files into their places. */
  async finish(facts: Pick<TokenIndex, 'vocabulary' | 'tokenizer'>): Promise<void> {
    await this.#flush();
    const header = Buffer.alloc(headerBytes);
    header.writeInt32LE(magicOf(this.tokenBytes), 0);
    header.writeInt32LE(1, 4);
    header.writeInt32LE(this.#count, 8);
    await writing(this.path, async () => {
      await this.handle.write(header, 0, headerBytes, 0);
      await this.handle.sync();
      await this.handle.close();
    });
    const index: TokenIndex = {
      format: 1,
      tokens: this.#count,
      ...facts,
      documents: this.#starts,
      ...(this.#prompted ? { prompts: this.#prompts } : {}),
    };
    // The index first: a token file without one is whole, too.
    await replaceFile(indexPath(this.path), JSON.stringify(index));
    await writing(this.path, () => rename(this.partial, this.path));
  }

  /** Leaves nothing. */
  async abandon(): Promise<void> {
    await this.handle.close().catch(() => {});
    await rm(this.partial, { force: true });
  }

  async #flush(): Promise<void> {
    const bytes = new Uint8Array(this.#piece.buffer, 0, this.#filled * this.tokenBytes);
    await writing(this.path, () => this.handle.writeFile(bytes));
    this.#filled = 0;
  }
}

/** Where the index of a token file is. */
export const indexPath = (path: string) => `${path.replace(/\.bin$/, '')}.idx.json`;

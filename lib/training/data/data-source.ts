import { basename } from 'node:path';
import { RND1Error } from '../../support/errors';
import type { Canvas } from './data-set';
import { TokenFile } from './token-file';
import { readTokenIndex, type TokenIndex } from './token-index';

/** How a file is cut into canvases. */
export interface Cutting {
  readonly sequenceLength: number;
  readonly documents: 'chunk' | 'document';
  /** Ids are below. */
  readonly vocabulary: number;
  readonly tokenBytes?: 2 | 4;
}

/** One token file, cut into canvases. */
export class DataSource {
  private constructor(
    /** The file that was named: the token file itself, or a text. */
    readonly name: string,
    private readonly file: TokenFile,
    private readonly cutting: Cutting,
    /** Start, length and prompt of each canvas; null for chunks of the same length. */
    private readonly cuts: {
      readonly starts: Float64Array;
      readonly lengths: Int32Array;
      readonly prompts: Int32Array;
    } | null,
    readonly canvases: number,
    /** Of all canvases. */
    readonly tokens: number,
    /** Documents that were left out, as nothing of them could be learned. */
    readonly dropped: number,
  ) {}

  /** @throws RND1Error `io`, `invalid_data` */
  static async open(path: string, name: string, cutting: Cutting): Promise<DataSource> {
    const file = await TokenFile.open(path, cutting.tokenBytes);
    try {
      const index = await readTokenIndex(path, file.count);
      if (index !== null && index.vocabulary > cutting.vocabulary && index.vocabulary > 0)
        checkVocabulary(path, index, cutting);
      if (cutting.documents === 'chunk' && index?.prompts === undefined) {
        const canvases = Math.floor(file.count / cutting.sequenceLength);
        return new DataSource(name, file, cutting, null, canvases, canvases * cutting.sequenceLength, 0);
      }
      if (index === null)
        throw new RND1Error(
          'invalid_data',
          `${path} does not say where its documents are: it has no .idx.json, which \`rnd1 tokenize\` writes`,
        );
      const { cuts, dropped } = cutDocuments(index, cutting.sequenceLength);
      const tokens = cuts.lengths.reduce((sum, length) => sum + length, 0);
      return new DataSource(name, file, cutting, cuts, cuts.lengths.length, tokens, dropped);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** What identifies it, as plain JSON. */
  get fingerprint(): Readonly<Record<string, unknown>> {
    const { count, bytes, sha256 } = this.file;
    return { file: basename(this.name), tokens: count, bytes, sha256 };
  }

  async read(index: number): Promise<Canvas> {
    const { sequenceLength, vocabulary } = this.cutting;
    if (this.cuts === null)
      return { tokens: await this.file.read(index * sequenceLength, sequenceLength, vocabulary), prompt: 0 };
    const { starts, lengths, prompts } = this.cuts;
    const tokens = await this.file.read(starts[index] as number, lengths[index] as number, vocabulary);
    return { tokens, prompt: prompts[index] as number };
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

function checkVocabulary(path: string, { vocabulary }: TokenIndex, cutting: Cutting): void {
  throw new RND1Error(
    'invalid_data',
    `${path} was made with a vocabulary of ${vocabulary} tokens, but the model has ${cutting.vocabulary}`,
  );
}

/**
 * Each document is a canvas of its own; a longer one is cut, and its last part kept. Of those with a prompt only the first
 * canvas is one: what follows would lack the prompt.
 */
function cutDocuments({ documents, prompts, tokens }: TokenIndex, sequenceLength: number) {
  const starts: number[] = [];
  const lengths: number[] = [];
  const givens: number[] = [];
  let dropped = 0;
  documents.forEach((start, i) => {
    const end = documents[i + 1] ?? tokens;
    const prompt = prompts?.[i] ?? 0;
    const before = starts.length;
    for (let at = start; at < end; at += sequenceLength) {
      const length = Math.min(sequenceLength, end - at);
      if (length < 2 || length <= prompt) break;
      starts.push(at);
      lengths.push(length);
      givens.push(prompt);
      if (prompt > 0) break;
    }
    if (starts.length === before) dropped++;
  });
  return {
    cuts: {
      starts: Float64Array.from(starts),
      lengths: Int32Array.from(lengths),
      prompts: Int32Array.from(givens),
    },
    dropped,
  };
}

import { RND1Error } from '../../support/errors';
import { drawSource, permute } from '../masking';
import { type Cutting, DataSource } from './data-source';
import { isTextFile } from './documents';
import { tokenFileOf } from './text-cache';
import { TextTokens } from './text-tokens';

/** One canvas of training data. */
export interface Canvas {
  readonly tokens: Int32Array;
  /** Positions below are given: never masked, never predicted. */
  readonly prompt: number;
}

/** Files of data with their shares. */
export type DataSources = readonly (string | { readonly file: string; readonly weight: number })[];

/** How data is read. */
export interface DataOptions extends Omit<Cutting, 'documents'> {
  readonly documents?: 'chunk' | 'document';
  readonly seed: bigint;
  /** false: in the order of the files, for evaluation. @default true */
  readonly shuffle?: boolean;
  /** Folder whose tokenizer and chat template turn text into tokens. */
  readonly model: string;
  /** Folder for tokenized text. @default beside the text */
  readonly cache?: string;
  readonly signal?: AbortSignal;
}

/** Canvases in an order that depends on the seed alone: any of them can be read at any time. */
export class DataSet {
  /** Canvases of one epoch. */
  readonly canvases: number;
  /** Tokens of one epoch. */
  readonly tokens: number;
  /** Shares of the sources, which add up to 1; null if they are read as one. */
  readonly #shares: readonly number[] | null;

  /** @hidden */
  constructor(
    private readonly sources: readonly DataSource[],
    weights: readonly number[] | null,
    private readonly options: DataOptions,
  ) {
    this.canvases = sources.reduce((sum, { canvases }) => sum + canvases, 0);
    this.tokens = sources.reduce((sum, { tokens }) => sum + tokens, 0);
    const total = weights?.reduce((sum, weight) => sum + weight, 0) ?? 0;
    this.#shares = weights?.map((weight) => weight / total) ?? null;
  }

  /** What identifies the data, as plain JSON: names, sizes, hashes, and how they are cut. */
  get fingerprint(): Readonly<Record<string, unknown>> {
    const { sequenceLength, documents = 'chunk' } = this.options;
    const files = this.sources.map(({ fingerprint }) => fingerprint);
    return { files, shares: this.#shares, sequenceLength, documents, canvases: this.canvases };
  }

  /** What deserves a look. */
  get warnings(): string[] {
    return this.sources.flatMap(({ name, dropped }) =>
      dropped === 0
        ? []
        : [`${name}: ${dropped} documents are left out, as nothing of them fits beside their prompt`],
    );
  }

  /** Canvases `first` … `first + count − 1` of the run: an epoch is a permutation, the next one another. */
  read(first: number, count: number): Promise<Canvas[]> {
    return Promise.all(Array.from({ length: count }, (_, i) => this.#read(first + i)));
  }

  /** Closes the files. */
  async close(): Promise<void> {
    for (const source of this.sources) await source.close();
  }

  #read(canvas: number): Promise<Canvas> {
    if (this.#shares === null || this.options.shuffle === false) return this.#ofAll(canvas);
    const source = this.sources[drawSource(this.options.seed, canvas, this.#shares)] as DataSource;
    return source.read(this.#place(canvas, source.canvases));
  }

  #ofAll(canvas: number): Promise<Canvas> {
    let place = this.#place(canvas, this.canvases);
    let i = 0;
    for (; place >= (this.sources[i] as DataSource).canvases; i++)
      place -= (this.sources[i] as DataSource).canvases;
    return (this.sources[i] as DataSource).read(place);
  }

  /** Among `size` canvases, of which none comes twice in an epoch. */
  #place(canvas: number, size: number): number {
    const { seed, shuffle = true } = this.options;
    const [epoch, index] = [Math.floor(canvas / size), canvas % size];
    return shuffle ? permute(seed, epoch, size, index) : index;
  }
}

/**
 * Opens files of tokens or text as one data set. With shares, the source of each canvas is drawn, and of a source with N
 * canvases none comes twice in N canvases of the run.
 *
 * @throws RND1Error `io`, `invalid_data`, `tokenizer_missing`, `invalid_checkpoint`
 */
export async function openData(files: DataSources, options: DataOptions): Promise<DataSet> {
  const opened: DataSource[] = [];
  let texts: TextTokens | null = null;
  const { cache, signal, documents = 'chunk' } = options;
  try {
    for (const entry of files) {
      const file = typeof entry === 'string' ? entry : entry.file;
      let tokens = file;
      if (isTextFile(file)) {
        texts ??= await TextTokens.open(options.model);
        tokens = await tokenFileOf(file, texts, { cache, signal });
      }
      const source = await DataSource.open(tokens, file, { ...options, documents });
      opened.push(source);
      if (source.canvases === 0)
        throw new RND1Error(
          'invalid_data',
          `${file} has no canvas: ${documents === 'chunk' ? `it has less than ${options.sequenceLength} tokens` : 'its documents have less than two tokens'}`,
        );
    }
  } catch (error) {
    for (const source of opened) await source.close();
    throw error;
  } finally {
    texts?.close();
  }
  const weighted = files.some((entry) => typeof entry !== 'string');
  const weights = files.map((entry) => (typeof entry === 'string' ? 1 : entry.weight));
  return new DataSet(opened, weighted ? weights : null, options);
}

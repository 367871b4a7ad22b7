import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RND1Error } from '../../support/errors';
import type { CheckpointFiles } from '../checkpoint-files';
import { fileSize, ioError, readJsonObject, readText } from '../files';
import { firstFew, quote } from '../format';
import type { Manifest } from '../manifest';
import { type GgufConfiguration, ggufConfiguration } from './configuration';
import { readGgufHeader } from './header';
import { type GgufFile, ggufManifest } from './manifest';
import { type GgufTokenizer, ggufTokenizer } from './tokenizer';

type Warn = (message: string) => void;

/** The end of the name of a part of a split file: its number and how many there are. */
const part = /-(\d{5})-of-(\d{5})\.gguf$/;

/** Limit of the parts of a split file. */
const partLimit = 1000;

/** Files beside a GGUF file that take precedence over its metadata. */
const tokenizerFiles = ['tokenizer.json', 'tokenizer_config.json'];

/**
 * A GGUF file as a checkpoint: its metadata stands for config.json, tokenizer.json and tokenizer_config.json. If
 * tokenizer.json is beside it, both files of the tokenizer are taken from there; generation_config.json and
 * chat_template.jinja always are.
 */
export class GgufCheckpoint implements CheckpointFiles {
  readonly kind = 'gguf';
  #configuration: GgufConfiguration | null = null;
  #tokenizer: GgufTokenizer | null = null;

  private constructor(
    /** The first or only part. */
    readonly place: string,
    private readonly parts: readonly GgufFile[],
    private readonly ownTokenizer: boolean,
  ) {}

  /** Reads the headers of a file and, if it is the first part of a split one, of the others. */
  static async open(path: string): Promise<GgufCheckpoint> {
    const parts: GgufFile[] = [];
    for (const name of partsOf(path)) parts.push({ path: name, header: await readGgufHeader(name) });
    checkSplit(parts);
    const beside = await fileSize(join(dirname(path), 'tokenizer.json'));
    return new GgufCheckpoint(path, parts, beside === null);
  }

  get folder(): string {
    return dirname(this.place);
  }

  pathOf(name: string): string {
    return this.#isOwn(name) ? this.place : join(this.folder, name);
  }

  async readJson(name: string, warn: Warn = () => {}): Promise<Record<string, unknown> | null> {
    if (!this.#isOwn(name)) return readJsonObject(join(this.folder, name), warn);
    if (name === 'config.json') return this.#configure().config;
    this.#tokenizer ??= ggufTokenizer(this.place, this.#first, warn);
    return name === 'tokenizer.json' ? this.#tokenizer.definition : this.#tokenizer.config;
  }

  async readText(name: string): Promise<string | null> {
    if (!this.#isOwn(name)) return readText(join(this.folder, name));
    const value = await this.readJson(name);
    return value === null || Object.keys(value).length === 0 ? null : `${JSON.stringify(value, null, 1)}\n`;
  }

  async readManifest(): Promise<Manifest> {
    return ggufManifest(this.place, this.parts, this.#configure().headRows);
  }

  get #first() {
    const header = (this.parts[0] as GgufFile).header;
    // A part has only its own tensors.
    return { ...header, tensors: this.parts.flatMap((one) => one.header.tensors) };
  }

  #configure(): GgufConfiguration {
    this.#configuration ??= ggufConfiguration(this.place, this.#first);
    return this.#configuration;
  }

  #isOwn(name: string): boolean {
    return name === 'config.json' || (this.ownTokenizer && tokenizerFiles.includes(name));
  }
}

/** The paths of all parts of a file. */
function partsOf(path: string): readonly string[] {
  const [, number, total] = part.exec(basename(path)) ?? [];
  if (total === undefined) return [path];
  const count = Number(total);
  if (Number(number) !== 1) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${path} is a part of a split file: name the first one, -00001-of-${total}.gguf`,
    );
  }
  if (count < 1 || count > partLimit) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${path}: a split file of ${count} parts; the limit is ${partLimit}`,
    );
  }
  return Array.from({ length: count }, (_, i) =>
    path.replace(part, `-${String(i + 1).padStart(5, '0')}-of-${total}.gguf`),
  );
}

/** Throws unless the parts say that they are these. */
function checkSplit(parts: readonly GgufFile[]): void {
  for (const [index, { path, header }] of parts.entries()) {
    const count = header.metadata.get('split.count') ?? 0;
    const number = header.metadata.get('split.no') ?? 0;
    const said = typeof count === 'number' && count > 1 ? count : 1;
    if (said !== parts.length || (said > 1 && number !== index)) {
      throw new RND1Error(
        'invalid_checkpoint',
        `${path} says that it is part ${Number(number) + 1} of ${said}, but its name says part ${index + 1} of ${parts.length}`,
      );
    }
  }
}

/**
 * The GGUF file of a folder that has no other weights, the first part of a split one; null if there is none.
 * Throws `invalid_checkpoint` if there are several.
 */
export async function ggufFileIn(folder: string): Promise<string | null> {
  const names = await readdir(folder).catch((error) => {
    throw ioError(folder, error);
  });
  const files = names.filter((name) => name.endsWith('.gguf')).sort();
  const firsts = files.filter((name) => Number(part.exec(name)?.[1] ?? 1) === 1);
  const [first] = firsts;
  if (first === undefined) return null;
  if (firsts.length === 1) return join(folder, first);
  throw new RND1Error(
    'invalid_checkpoint',
    `${folder} holds several models, name one: ${firstFew(firsts.map(quote))}`,
  );
}

import { basename, resolve } from 'node:path';
import { pythonJson, readJsonObject } from '../../checkpoint/files';
import { type Checkpoint, readCheckpoint } from '../../checkpoint/folder';
import { INDEX_FILE, type ManifestTensor, SINGLE_FILE } from '../../checkpoint/manifest';
import { companionFiles } from '../../checkpoint/writing';
import { familyNamed } from '../../families';
import { storedName } from '../../families/names';
import { RND1Error } from '../../support/errors';
import { Fields } from '../../support/fields';
import {
  booleanOption,
  integerOption,
  optionsObject,
  signalOption,
  stringOption,
} from '../../support/validate';
import { makeFolder, type NewFolder } from '../new-folder';
import { conversionOf } from './configs';
import { chooseMask, type MaskChoice, type NamedMask, nameMask } from './mask-token';
import { placeWeights, type WeightsReport } from './weights';

/** How to convert. */
export interface ConvertOptions {
  /** From a diffusion model to the causal one with the same weights, for tools that know only that. @default false */
  readonly reverse?: boolean;
  /** The token of masked positions. @default one that the files name, an unused row of the embedding, or a new one */
  readonly maskTokenId?: number;
  /** Copy the weights instead of linking the new folder's files to the same bytes. @default false */
  readonly copy?: boolean;
  /** Of the noise in a new row; an integer. @default 0 */
  readonly seed?: number;
  /** When it aborts, converting rejects with its reason, and nothing is left. @default none */
  readonly signal?: AbortSignal;
}

/** The mask token, and its text. */
export interface NamedChoice extends MaskChoice {
  /** In tokenizer.json; null without one. */
  readonly text: string | null;
}

/** What was written. */
export interface ConvertReport extends WeightsReport {
  /** The new folder. */
  readonly path: string;
  /** The title of the family that it was. */
  readonly from: string;
  /** The title of the family that it is. */
  readonly to: string;
  /** null with `reverse`. */
  readonly mask: NamedChoice | null;
  /** Contradictions in the checkpoint that were resolved. */
  readonly warnings: readonly string[];
}

/**
 * Makes a diffusion model of an autoregressive checkpoint, or the reverse: another config.json, a mask token, the same
 * weights. It must be trained to be of use.
 *
 * @throws RND1Error `unsupported_model` for models without a counterpart, quantized ones and GGUF files,
 *   `invalid_checkpoint`, `io`
 */
export async function convert(
  source: string,
  target: string,
  given: ConvertOptions = {},
): Promise<ConvertReport> {
  stringOption('source', source);
  stringOption('target', target);
  const options = optionsObject('options', given, {
    reverse: true,
    maskTokenId: true,
    copy: true,
    seed: true,
    signal: true,
  });
  const reverse = booleanOption('reverse', options.reverse, false);
  const copy = booleanOption('copy', options.copy, false);
  const seed = BigInt(integerOption('seed', options.seed ?? 0, 0));
  const signal = signalOption(options.signal);
  const { maskTokenId } = options;
  if (maskTokenId !== undefined) integerOption('maskTokenId', maskTokenId, 0);
  if (reverse && maskTokenId !== undefined)
    throw new TypeError('maskTokenId is for the way to a diffusion model, not for reverse');
  const checkpoint = await readCheckpoint(source);
  const { config, files, tokenizer, manifest } = checkpoint;
  if (config.quantization !== null || files.kind === 'gguf')
    throw new RND1Error(
      'unsupported_model',
      `${source} is ${files.kind === 'gguf' ? 'a GGUF file' : 'quantized'}: only the folders of unquantized checkpoints can be converted`,
    );
  const conversion = conversionOf(config.family, reverse, source);
  const { vocabulary, tiedHead } = config.architecture;
  const mask = reverse ? null : chooseMask(maskTokenId, config.tokens, tokenizer, vocabulary, source);
  const grows = mask?.from === 'added row';
  const raw = conversion.config(config.raw, mask?.id ?? 0);
  const written = { ...raw, ...(grows ? { vocab_size: vocabulary + 1 } : {}) };
  // What the new family does not have is refused before anything is written.
  conversion.target.read(new Fields(files.pathOf('config.json'), written));
  const named = mask === null ? null : await nameMask(mask.id, files);
  const grown = grows ? tablesOf(checkpoint, tiedHead) : [];
  const weights = await makeFolder(target, async (made) => {
    const report = await placeWeights(made, manifest, grown, { copy, seed, signal });
    await made.text('config.json', `${pythonJson(written)}\n`);
    const addedBytes = grown.reduce((sum, { bytes, shape }) => sum + bytes / (shape[0] as number), 0);
    await writeCompanions(made, checkpoint, mask, named, addedBytes);
    // It must load before it is shown.
    await readCheckpoint(made.path);
    signal?.throwIfAborted();
    return report;
  });
  return {
    path: resolve(target),
    from: conversion.source.title,
    to: conversion.target.title,
    mask: mask === null ? null : { ...mask, text: named?.text ?? null },
    warnings: checkpoint.warnings,
    ...weights,
  };
}

async function writeCompanions(
  made: NewFolder,
  { files, manifest }: Checkpoint,
  mask: MaskChoice | null,
  named: NamedMask | null,
  addedBytes: number,
): Promise<void> {
  const edited = new Map(named?.files);
  const generation = await files.readJson('generation_config.json', () => {});
  if (generation !== null) {
    // What it says of sampling is for the other kind of model.
    const ids = Object.entries(generation).filter(([key]) => key.endsWith('_token_id'));
    const own = mask === null ? {} : { mask_token_id: mask.id };
    edited.set(
      'generation_config.json',
      `${pythonJson({ ...Object.fromEntries(ids), ...own })}
`,
    );
  }
  for (const name of companionFiles) {
    const text = edited.get(name) ?? (await files.readText(name));
    if (text !== null) await made.text(name, text);
  }
  if (manifest.files.length === 1 && basename(manifest.files[0] as string) === SINGLE_FILE) return;
  const index = await readJsonObject(files.pathOf(INDEX_FILE));
  if (index === null) return;
  const { total_size: size, ...metadata } = (index.metadata ?? {}) as { readonly total_size?: number };
  const total = typeof size === 'number' ? { total_size: size + addedBytes } : {};
  await made.text(
    INDEX_FILE,
    `${JSON.stringify({ ...index, metadata: { ...metadata, ...total } }, null, 2)}\n`,
  );
}

/** The tables with a row for each token: also a head that is stored although it is tied. */
function tablesOf({ config, manifest, selected }: Checkpoint, tied: boolean): ManifestTensor[] {
  const names = selected.stored
    .filter(({ parts }) => parts.some(({ role }) => role === 'embedding' || role === 'head'))
    .map(({ name }) => name);
  if (tied) names.push(storedName(familyNamed(config.family).names, 'head'));
  return names.flatMap((name) => manifest.tensors.get(name) ?? []);
}

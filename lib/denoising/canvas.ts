import type { SpecialTokenOptions, TokenIds, TokenOptions } from '../api/types';
import type { ModelConfig } from '../checkpoint/config';
import { familyNamed } from '../families';
import { isCausal } from '../families/traits';
import { booleanOption, integerOption, positionList, quote, tokenList } from '../support/validate';

/** RND1's own number of new tokens, used if generation_config.json has none. */
const defaultMaxNewTokens = 256;

/** Special tokens; null and the empty list mean that there is none. */
export interface SpecialTokens {
  readonly mask: number | null;
  /** All ids that end a text; the first one is used if an EOS must be written. */
  readonly eos: readonly number[];
  readonly pad: number | null;
  readonly bos: number | null;
}

/** The part of a model's configuration that canvases depend on. */
export interface CanvasModel {
  readonly vocabulary: number;
  /** Longest canvas. */
  readonly maxPositions: number;
  /** Default of `maxNewTokens`, if the canvas has room for it. */
  readonly maxNewTokens: number;
  readonly special: SpecialTokens;
  /** Tokens that end a text or a turn: those of `special`, and those that the family is known to have. */
  readonly ends: readonly number[];
  /** Default of `reserveEnd`. */
  readonly reserveEnd: boolean;
  /** Whether the model is causal: it writes from left to right, and needs no mask token. */
  readonly causal: boolean;
}

export function canvasModelOf({ family, architecture, tokens, generation }: ModelConfig): CanvasModel {
  const { maskTokenId, eosTokenIds, padTokenId, bosTokenId } = tokens;
  const { tokens: known, preset } = familyNamed(family);
  return {
    vocabulary: architecture.vocabulary,
    maxPositions: architecture.maxPositions,
    maxNewTokens: generation.maxNewTokens ?? defaultMaxNewTokens,
    special: { mask: maskTokenId, eos: eosTokenIds, pad: padTokenId, bos: bosTokenId },
    ends: [...new Set([...eosTokenIds, ...(known.eos ?? [])])].filter((id) => id < architecture.vocabulary),
    reserveEnd: preset.reserveEnd ?? true,
    causal: isCausal(architecture),
  };
}

/** A token sequence and which of its positions are to be filled. */
export interface Canvas {
  readonly tokens: Int32Array;
  /** Ascending. */
  readonly masked: Int32Array;
  /** Positions of the prefix to fill besides, which belong to no block. */
  readonly maskedPrefix?: Int32Array;
  /** Number of positions without those that were added to make the last block whole. @default all */
  readonly kept?: number;
  readonly special: SpecialTokens;
}

export type CanvasOptions = SpecialTokenOptions &
  Pick<
    TokenOptions,
    | 'prefix'
    | 'suffix'
    | 'maxNewTokens'
    | 'length'
    | 'canvas'
    | 'masked'
    | 'addEos'
    | 'reserveEnd'
    | 'fillPrefix'
  >;

/**
 * Lays out a canvas: prefix, masked positions, suffix, and, if there is an EOS id and a prefix or suffix,
 * one reserved slot with EOS (`addEos`) or pad, not for causal models. Without prefix and suffix everything is masked except BOS at
 * position 0 and, with `addEos`, EOS at the end. With a BOS id position 0 is never masked, whatever it holds.
 * Every array is copied.
 */
export function buildCanvas(options: CanvasOptions, model: CanvasModel): Canvas {
  const special = readSpecialTokens(options, model);
  if (options.canvas !== undefined || options.masked !== undefined)
    return givenCanvas(options, model, special);

  const { vocabulary, maxPositions } = model;
  const prefix = tokenList('prefix', options.prefix ?? [], vocabulary);
  const suffix = tokenList('suffix', options.suffix ?? [], vocabulary);
  const prompted = options.prefix !== undefined || options.suffix !== undefined;
  if (model.causal && suffix.length > 0) {
    throw new TypeError(
      'suffix cannot be given: the model writes from left to right and does not see what follows',
    );
  }
  const end = readEnd(options, special, prompted && !model.causal, model.reserveEnd);

  const mask = model.causal ? placeholder(special) : neededMask(special);
  const bosSlot = special.bos !== null && prefix.length === 0 ? 1 : 0;
  const others = prefix.length + suffix.length + end.length;
  const region = regionLength(options, model, prefix.length, others, bosSlot);
  const length = others + region;
  if (length > maxPositions) {
    const name = options.length === undefined ? 'maxNewTokens' : 'length';
    const max = (options[name] ?? 0) - (length - maxPositions);
    const remedy = max > 0 ? `: ${name} may be ${max} at most here` : '';
    throw new RangeError(
      `the canvas would have ${length} tokens, but the model attends to ${maxPositions}${remedy}`,
    );
  }

  const tokens = new Int32Array(length).fill(mask);
  tokens.set(prefix, 0);
  tokens.set(suffix, prefix.length + region);
  tokens.set(end, length - end.length);
  if (special.bos !== null && (model.causal ? bosSlot === 1 : !prompted)) tokens[0] = special.bos;

  // If the mask token is also EOS or pad, nothing can be filled.
  const fillable = !special.eos.includes(mask) && mask !== special.pad;
  const first = prefix.length + bosSlot;
  const masked = fillable
    ? Int32Array.from({ length: region - bosSlot }, (_, i) => first + i)
    : new Int32Array();
  if (!booleanOption('fillPrefix', options.fillPrefix, false)) return { tokens, masked, special };
  const maskedPrefix = Int32Array.from(prefix.keys()).filter((position) => prefix[position] === mask);
  return { tokens, masked, maskedPrefix, special };
}

/** Options of canvases that are laid out here. */
const laidOut = ['prefix', 'suffix', 'maxNewTokens', 'length', 'addEos', 'reserveEnd', 'fillPrefix'] as const;

/** The canvas exactly as the caller gives it. */
function givenCanvas(options: CanvasOptions, model: CanvasModel, special: SpecialTokens): Canvas {
  if (options.canvas === undefined || options.masked === undefined) {
    const [given, missing] = options.canvas === undefined ? ['masked', 'canvas'] : ['canvas', 'masked'];
    throw new TypeError(`${given} is given without ${missing}`);
  }
  for (const name of laidOut) {
    if (options[name] !== undefined) {
      throw new TypeError(`canvas and ${name} exclude each other, but ${name} is ${quote(options[name])}`);
    }
  }
  return { ...checkCanvas(options.canvas, options.masked, model), special };
}

/** Validates and copies the tokens and masked positions of a canvas. */
export function checkCanvas(
  canvas: TokenIds,
  masked: TokenIds,
  model: Pick<CanvasModel, 'vocabulary' | 'maxPositions'>,
): Pick<Canvas, 'tokens' | 'masked'> {
  const tokens = tokenList('canvas', canvas, model.vocabulary);
  if (tokens.length === 0) throw new RangeError('canvas must hold at least one token');
  if (tokens.length > model.maxPositions) {
    throw new RangeError(
      `canvas has ${tokens.length} tokens, but the model attends to ${model.maxPositions}`,
    );
  }
  return { tokens, masked: positionList('masked', masked, tokens.length) };
}

/** Special tokens of a call: its options first, then the checkpoint's. */
export function readSpecialTokens(options: SpecialTokenOptions, model: CanvasModel): SpecialTokens {
  const { vocabulary, special } = model;
  const one = (name: string, value: number | null | undefined, fallback: number | null) => {
    if (value === undefined) return fallback;
    return value === null ? null : integerOption(name, value, 0, vocabulary - 1);
  };
  const mask = one('maskTokenId', options.maskTokenId, special.mask);
  if (mask !== null) integerOption('maskTokenId', mask, 0, vocabulary - 1);
  return {
    mask,
    eos: readEos(options.eosTokenId, special.eos, vocabulary),
    pad: one('padTokenId', options.padTokenId, special.pad),
    bos: one('bosTokenId', options.bosTokenId, special.bos),
  };
}

/** The mask token, which a canvas cannot do without. */
export function neededMask({ mask }: Pick<SpecialTokens, 'mask'>): number {
  if (mask !== null) return mask;
  throw new TypeError(
    'maskTokenId is needed: the checkpoint names no mask token; DiffusionLM.load takes one as specialTokens.mask',
  );
}

/** What unwritten positions of a causal model hold, which sees none of them: the mask token, or an id without a meaning. */
function placeholder({ mask, eos, pad, bos }: SpecialTokens): number {
  if (mask !== null) return mask;
  let id = 0;
  while (eos.includes(id) || id === pad || id === bos) id++;
  return id;
}

function readEos(
  value: number | readonly number[] | null | undefined,
  fallback: readonly number[],
  vocabulary: number,
): readonly number[] {
  if (value === undefined) return fallback;
  if (value === null) return [];
  if (typeof value === 'number') return [integerOption('eosTokenId', value, 0, vocabulary - 1)];
  return [...tokenList('eosTokenId', value, vocabulary)];
}

/** The reserved slot at the end: no token or one. A missing pad id counts as 0, as in the reference. */
function readEnd(
  options: CanvasOptions,
  special: SpecialTokens,
  prompted: boolean,
  reserves: boolean,
): number[] {
  const addEos = booleanOption('addEos', options.addEos, false);
  const reserveEnd = booleanOption('reserveEnd', options.reserveEnd, reserves || addEos);
  const eos = special.eos[0];
  if (addEos && eos === undefined) throw new TypeError('addEos needs an EOS id, and there is none');
  if (addEos && prompted && !reserveEnd) {
    throw new TypeError('addEos writes into the reserved slot, but reserveEnd is false');
  }
  if (addEos) return [eos as number];
  return prompted && reserveEnd && eos !== undefined ? [special.pad ?? 0] : [];
}

/** Number of positions between prefix and suffix, including position 0 if a BOS id keeps it from being filled. */
function regionLength(
  options: CanvasOptions,
  model: CanvasModel,
  prefixLength: number,
  others: number,
  bosSlot: number,
): number {
  const { length, maxNewTokens } = options;
  if (length !== undefined) {
    if (maxNewTokens !== undefined) {
      throw new TypeError(
        `length and maxNewTokens exclude each other, but they are ${quote(length)} and ${quote(maxNewTokens)}`,
      );
    }
    return integerOption('length', length, 1, 2 ** 31 - 1) + bosSlot;
  }
  const wanted =
    maxNewTokens === undefined
      ? Math.min(model.maxNewTokens, Math.max(0, model.maxPositions - prefixLength))
      : integerOption('maxNewTokens', maxNewTokens, 0, 2 ** 31 - 1);
  const region = prefixLength + wanted - others;
  if (region - bosSlot < 1) {
    const needed = others - prefixLength + bosSlot + 1;
    if (maxNewTokens === undefined && wanted < model.maxNewTokens) {
      throw new RangeError(
        `the prompt has ${prefixLength} tokens and ${needed} more are needed, but the model attends to ${model.maxPositions}`,
      );
    }
    throw new RangeError(
      `maxNewTokens ${wanted} leaves no position to fill: suffix, reserved slot, BOS and one position need ${needed}`,
    );
  }
  return region;
}

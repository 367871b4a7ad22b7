import type { ChatOptions, FillOptions, InfillInput, Template } from '../api/types';
import type { GivenText } from '../checkpoint/tokenizer/text-workers';
import { withoutBrokenEnd } from '../checkpoint/tokenizer/token-bytes';
import type { Tokenizer } from '../checkpoint/tokenizer/tokenizer';
import { infillInputNames } from '../support/option-names';
import { integerOption, optionsObject, quote, stringOption } from '../support/validate';
import { buildCanvas, type Canvas, type CanvasModel, checkCanvas, neededMask } from './canvas';
import { endsText } from './end-tokens';

/** The part of a model that text canvases depend on. */
export interface TextModel extends CanvasModel {
  readonly tokenizer: Pick<Tokenizer, 'decode' | 'decodeCanvas' | 'decodeParts' | 'idOf'>;
}

/** A text canvas whose arguments are validated, and whose texts are still to be tokenized. */
export interface TextPlan<T extends TextCanvas = TextCanvas> {
  readonly texts: readonly GivenText[];
  /** The canvas, from the token ids of `texts`. */
  layOut(ids: readonly Int32Array[]): T;
}

/** A canvas made from text, with functions that turn it back into text. */
export interface TextCanvas {
  readonly canvas: Canvas;
  readonly banned: Int32Array;
  /** The text of the whole canvas, masked positions included. */
  render(tokens: Int32Array, masked: Uint8Array): string;
  /** The text written so far, one string per hole. */
  written(tokens: Int32Array, masked: Uint8Array): string[];
  /** The properties that `TextResult` adds to `TokenResult`. */
  finish(tokens: Int32Array): { text: string; written: string[] };
}

/** The canvas of an answer, whose text can be streamed from left to right. */
export interface AnswerCanvas extends TextCanvas {
  /** The beginning of the text that no later step can change. */
  settled(tokens: Int32Array, masked: Uint8Array): string;
}

/** A text that the model goes on with. */
export interface Prompt {
  readonly text: string;
  /** Whether white space around the answer belongs to the format of the prompt. */
  readonly trimmed: boolean;
}

/**
 * The canvas of `generate` and `chat`: the prompt, then masked positions. Without a prompt position 0, which nothing
 * predicts, holds BOS or `<|endoftext|>`.
 */
export function answerCanvas(
  prompt: Prompt,
  end: Pick<ChatOptions, 'maxNewTokens' | 'addEos' | 'reserveEnd'>,
  model: TextModel,
): TextPlan<AnswerCanvas> {
  return {
    texts: [{ text: prompt.text, continues: false }],
    layOut: ([prefix]) => continuation(prompt, prefix as Int32Array, end, model),
  };
}

function continuation(
  { text: prompt, trimmed }: Prompt,
  prefix: Int32Array,
  { maxNewTokens, addEos, reserveEnd }: Pick<ChatOptions, 'maxNewTokens' | 'addEos' | 'reserveEnd'>,
  model: TextModel,
): AnswerCanvas {
  const { tokenizer } = model;
  const start = prefix.length > 0 ? { prefix } : { bosTokenId: startToken(model) };
  const canvas = buildCanvas({ ...start, maxNewTokens, addEos, reserveEnd }, model);
  const first = canvas.masked[0] ?? canvas.tokens.length;
  const special = { skipSpecialTokens: true, continues: prefix.length > 0 };
  const answer = (text: string) => (trimmed ? text.trim() : text);
  return {
    canvas,
    banned: bannedTokens(canvas, false),
    render: (tokens, masked) =>
      prompt + tokenizer.decodeCanvas(tokens.subarray(first), masked.subarray(first), special),
    written(tokens, masked) {
      const end = canvas.masked.find(
        (position) => masked[position] === 0 && endsText(canvas, tokens[position] as number),
      );
      const last = end ?? first + canvas.masked.length;
      return [tokenizer.decodeCanvas(tokens.subarray(first, last), masked.subarray(first, last), special)];
    },
    settled(tokens, masked) {
      const isEnd = (position: number) => endsText(canvas, tokens[position] as number);
      const end = canvas.masked.find((position) => masked[position] === 1 || isEnd(position));
      const text = tokenizer.decode(tokens.subarray(first, end ?? first + canvas.masked.length), special);
      // An incomplete character is decoded as U+FFFD; the next token may complete it.
      return answer(end !== undefined && masked[end] === 1 ? withoutBrokenEnd(text) : text);
    },
    finish(tokens) {
      const end = canvas.masked.find((position) => endsText(canvas, tokens[position] as number));
      const text = tokenizer.decode(tokens.subarray(first, end ?? first + canvas.masked.length), special);
      return { text: answer(text), written: [text] };
    },
  };
}

/** The canvas of `infill`: prefix, masked positions, suffix. */
export function infillCanvas(input: InfillInput, model: TextModel): TextPlan {
  if (typeof input !== 'object' || input === null) {
    throw new TypeError(`infill needs { prefix, suffix, length }, not ${quote(input)}`);
  }
  optionsObject('input', input, infillInputNames);
  const prefix = stringOption('prefix', input.prefix ?? '');
  const suffix = stringOption('suffix', input.suffix ?? '');
  return piecesPlan([prefix, { length: integerOption('length', input.length, 1) }, suffix], model);
}

/** The canvas of `fill`: a string is split at the hole markers, a list is used unchanged. */
export function fillCanvas(template: Template, options: FillOptions, model: TextModel): TextPlan {
  const hole = stringOption('hole', options.hole ?? '___');
  if (hole === '') throw new RangeError("hole must not be empty: ''");
  const length = integerOption('tokensPerHole', options.tokensPerHole ?? 4, 1);
  if (typeof template === 'string') {
    const texts = template.split(hole);
    if (texts.length === 1)
      throw new RangeError(`the template has no hole ${quote(hole)}: ${quote(template)}`);
    return piecesPlan(
      texts.flatMap((text, i) => (i === 0 ? [text] : [{ length }, text])),
      model,
    );
  }
  if (!Array.isArray(template)) {
    throw new TypeError(
      `template must be a string or a list of strings and { length }, not ${quote(template)}`,
    );
  }
  const pieces = template.map((piece: unknown, i): string | { length: number } => {
    if (typeof piece === 'string') return piece;
    if (typeof piece !== 'object' || piece === null) {
      throw new TypeError(`template[${i}] must be a string or { length }, not ${quote(piece)}`);
    }
    return { length: integerOption(`template[${i}].length`, (piece as { length?: unknown }).length, 1) };
  });
  if (pieces.every((piece) => typeof piece === 'string')) {
    throw new RangeError(`the template has no hole: ${quote(template)}`);
  }
  return piecesPlan(pieces, model);
}

type GivenPiece = string | { readonly length: number };

function piecesPlan(given: readonly GivenPiece[], model: TextModel): TextPlan {
  const filled = given.filter((piece) => piece !== '');
  const texts = filled.flatMap((text, i) => (typeof text === 'string' ? { text, continues: i > 0 } : []));
  return { texts, layOut: (ids) => piecesCanvas(filled, ids, model) };
}

/** A text, or neighbouring holes: `ends[i]` is the position after the i-th. */
type Piece = string | Holes;
interface Holes {
  readonly start: number;
  readonly ends: number[];
  /** Whether text or holes come before. */
  readonly continues: boolean;
}

/**
 * Text and holes in sequence, and the reserved slot if the model has one and there is an EOS id. Nothing predicts position 0, so a
 * canvas that would begin with a hole begins with BOS or `<|endoftext|>`. Mask, EOS and pad are banned, because
 * the text continues after a hole.
 */
function piecesCanvas(
  given: readonly GivenPiece[],
  texts: readonly Int32Array[],
  model: TextModel,
): TextCanvas {
  const { tokenizer, special, maxPositions } = model;
  const mask = neededMask(special);
  const ids: number[] = [];
  const masked: number[] = [];
  const pieces: Piece[] = [];
  let next = 0;
  for (const piece of given) {
    if (typeof piece === 'string') {
      for (const id of texts[next++] as Int32Array) ids.push(id);
      pieces.push(piece);
      continue;
    }
    if (ids.length === 0) ids.push(startToken(model));
    const start = ids.length;
    // Checked here as well, so that an absurd length fails before it fills the memory.
    if (start + piece.length > maxPositions) {
      throw new RangeError(
        `a hole of ${piece.length} tokens behind ${start} others is too long: the model attends to ${maxPositions}`,
      );
    }
    for (let i = 0; i < piece.length; i++) {
      masked.push(ids.length);
      ids.push(mask);
    }
    const last = pieces.at(-1);
    if (typeof last === 'object') last.ends.push(ids.length);
    else pieces.push({ start, ends: [ids.length], continues: pieces.length > 0 });
  }
  if (model.reserveEnd && special.eos.length > 0) ids.push(special.pad ?? 0);
  const canvas = { ...checkCanvas(ids, masked, model), special };
  const textsOf = ({ start, ends, continues }: Holes, tokens: Int32Array, isMasked: Uint8Array) => {
    const end = ends.at(-1);
    const region = [tokens.subarray(start, end), isMasked.subarray(start, end)] as const;
    if (ends.length === 1) return [tokenizer.decodeCanvas(...region, { continues })];
    const own = ends.map((position) => position - start);
    return tokenizer.decodeParts(...region, own, { continues });
  };
  const read = (tokens: Int32Array, isMasked: Uint8Array) => {
    const texts = pieces.map((piece) =>
      typeof piece === 'string' ? piece : textsOf(piece, tokens, isMasked),
    );
    return { text: texts.flat().join(''), written: texts.filter(Array.isArray).flat() };
  };
  return {
    canvas,
    banned: bannedTokens(canvas, true),
    render: (tokens, isMasked) => read(tokens, isMasked).text,
    written: (tokens, isMasked) => read(tokens, isMasked).written,
    finish: (tokens) => read(tokens, new Uint8Array(tokens.length)),
  };
}

/** The token at position 0 of a canvas that does not begin with text. */
function startToken({ special, tokenizer }: TextModel): number {
  const id = special.bos ?? tokenizer.idOf('<|endoftext|>') ?? special.pad ?? special.eos[0];
  if (id === undefined) {
    throw new RangeError(
      "'' cannot be continued: there is no BOS, <|endoftext|>, pad or EOS token to begin with",
    );
  }
  return id;
}

/** The mask token and, with `ends`, the tokens that end a text. */
function bannedTokens({ special }: Pick<Canvas, 'special'>, ends: boolean): Int32Array {
  const ids = ends ? [special.mask, special.pad, ...special.eos] : [special.mask];
  return Int32Array.from(new Set(ids.filter((id) => id !== null)));
}

import type { CheckpointFiles } from '../../checkpoint/checkpoint-files';
import type { SpecialTokens } from '../../checkpoint/config';
import type { Tokenizer } from '../../checkpoint/tokenizer/tokenizer';
import { RND1Error } from '../../support/errors';

/** The token of masked positions, and why it is that one. */
export interface MaskChoice {
  /** A row of the embedding. */
  readonly id: number;
  /** Who named it, or that nobody did. */
  readonly from: 'given' | 'config' | 'tokenizer' | 'unused row' | 'added row';
}

/** The usual text of a mask token. */
const maskText = '<|mask|>';

/**
 * Chooses the mask token: the given one; that of the configuration or of the tokenizer; the first row of the embedding
 * beyond the tokenizer's ids; a new row.
 *
 * @throws RangeError for a given id that is no row of the embedding, or a token that means something else; RND1Error
 *   `tokenizer_missing` if nothing says which rows are unused
 */
export function chooseMask(
  given: number | undefined,
  { maskTokenId, eosTokenIds, padTokenId, bosTokenId }: SpecialTokens,
  tokenizer: Tokenizer | null,
  vocabulary: number,
  folder: string,
): MaskChoice {
  if (given !== undefined) {
    if (given >= vocabulary)
      throw new RangeError(`maskTokenId ${given} is no row of the embedding, which has ${vocabulary}`);
    if ([...eosTokenIds, padTokenId, bosTokenId].includes(given))
      throw new RangeError(`maskTokenId ${given} is a special token already`);
    return { id: given, from: 'given' };
  }
  if (maskTokenId !== null) return { id: maskTokenId, from: 'config' };
  if (tokenizer === null)
    throw new RND1Error(
      'tokenizer_missing',
      `${folder} has no tokenizer.json, which would say what rows are unused: name one with maskTokenId`,
    );
  const known = tokenizer.idOf(maskText);
  if (known !== undefined) return { id: known, from: 'tokenizer' };
  const { size } = tokenizer;
  return size < vocabulary ? { id: size, from: 'unused row' } : { id: vocabulary, from: 'added row' };
}

type Json = Record<string, unknown>;

/** The files of a tokenizer that name its mask token, by name. */
export interface NamedMask {
  /** null without a tokenizer. */
  readonly text: string | null;
  readonly files: ReadonlyMap<string, string>;
}

/**
 * Names a token as the mask in tokenizer.json and the files beside it; a row without a token gets one.
 *
 * @throws RND1Error `invalid_checkpoint` for a tokenizer.json that is not as it must be
 */
export async function nameMask(id: number, files: CheckpointFiles): Promise<NamedMask> {
  const definition = await files.readJson('tokenizer.json', () => {});
  if (definition === null) return { text: null, files: new Map() };
  const config = (await files.readJson('tokenizer_config.json', () => {})) ?? {};
  const tokens = tokensOf(definition, config);
  const found = tokens.get(id);
  const free = [...tokens.values()].includes(maskText) ? `<|mask_${id}|>` : maskText;
  const text = found ?? free;
  const edited = new Map<string, string>();
  const set = (name: string, value: Json) => edited.set(name, `${JSON.stringify(value, null, 2)}\n`);
  if (found === undefined) {
    const added = [...((definition.added_tokens ?? []) as { id: number }[]), { id, content: text, ...flags }];
    set('tokenizer.json', { ...definition, added_tokens: added.sort((a, b) => a.id - b.id) });
    const list = await files.readJson('added_tokens.json', () => {});
    if (list !== null) set('added_tokens.json', { ...list, [text]: id });
  }
  const { added_tokens_decoder: decoder } = config;
  const decoders =
    typeof decoder === 'object' && decoder !== null && found === undefined
      ? { added_tokens_decoder: { ...decoder, [id]: { content: text, ...flags } } }
      : {};
  set('tokenizer_config.json', { ...config, mask_token: text, ...decoders });
  const special = await files.readJson('special_tokens_map.json', () => {});
  if (special !== null) set('special_tokens_map.json', { ...special, mask_token: text });
  return { text, files: edited };
}

const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };

/** The texts of tokens as tokenizer.json spells them, by id. `Tokenizer` has read the files before. */
function tokensOf(definition: Json, config: Json): Map<number, string> {
  const { vocab = {} } = (definition.model ?? {}) as { vocab?: Json | readonly unknown[] };
  const pieces = Array.isArray(vocab)
    ? vocab.map((piece, id): [number, string] => [id, String([piece].flat()[0])])
    : Object.entries(vocab).map(([text, id]): [number, string] => [id as number, text]);
  const listed = Object.entries((config.added_tokens_decoder ?? {}) as Record<string, Json>);
  const added = (definition.added_tokens ?? []) as Json[];
  return new Map([
    ...pieces,
    ...listed.map(([id, { content }]): [number, string] => [Number(id), String(content)]),
    ...added.map(({ id, content }): [number, string] => [id as number, String(content)]),
  ]);
}

import { type AddedToken, AddedTokens } from './added-tokens';
import { goingOn, readableDefinition } from './definition';

type Json = Record<string, unknown>;
type Normalizer = ((text: string) => string) | null;
type PreTokenizer = ((text: string, options: { section_index: number }) => string[]) | null;

/** The used members of the package's `Tokenizer`, whose declarations only ES modules can import. */
export interface Implementation {
  readonly normalizer: Normalizer;
  readonly pre_tokenizer: PreTokenizer;
  readonly model: ((texts: string[]) => string[]) & {
    readonly tokens_to_ids: Map<string, number>;
    readonly unk_token_id?: number;
  };
  readonly decoder: { text_decoder?: unknown; decoders?: { text_decoder?: unknown }[] } | null;
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  id_to_token(id: number): string | undefined;
}

const { Tokenizer: Implementation } = require('@huggingface/tokenizers') as {
  Tokenizer: new (definition: Json, config: Json) => Implementation;
};

/** The steps on a text before its pieces become tokens. */
export interface Steps {
  readonly normalizer: Normalizer;
  readonly preTokenizer: PreTokenizer;
}

/** All parts of a tokenizer. */
export interface Parts {
  readonly implementation: Implementation;
  /** For the start of a text, and for text that continues another. */
  readonly steps: { readonly start: Steps; readonly within: Steps };
  /** Added tokens to find in the text as it is, and those to find in the normalized one. */
  readonly added: { readonly plain: AddedTokens; readonly normalized: AddedTokens };
  /** Ids of the added tokens by their content. */
  readonly addedIds: ReadonlyMap<string, number>;
  /** A token of letters to decode before continuing ones; null if nothing is removed at the start of a text. */
  readonly anchor: number | null;
  readonly path: string;
}

/** Makes the parts from tokenizer.json and tokenizer_config.json. Throws if they cannot be used. */
export function partsOf(given: Json & { added_tokens: Json[] }, config: Json, path: string): Parts {
  const definition = readableDefinition(given);
  const implementation = new Implementation(definition, config);
  keepByteOrderMarks(implementation);
  forgetAdded(implementation, given);
  const { normalizer, pre_tokenizer } = implementation;
  const start = { normalizer, preTokenizer: pre_tokenizer };
  const within = stepsWithin(definition, config) ?? start;
  const tokens = given.added_tokens as unknown as (AddedToken & {
    special?: boolean;
    normalized?: boolean;
  })[];
  const isNormalized = (token: (typeof tokens)[number]) => token.normalized ?? token.special !== true;
  return {
    implementation,
    steps: { start, within },
    added: {
      plain: new AddedTokens(tokens.filter((token) => !isNormalized(token))),
      normalized: new AddedTokens(tokens.filter(isNormalized), normalizer ?? undefined),
    },
    addedIds: new Map(tokens.map(({ content, id }) => [content, id])),
    anchor: anchorOf(implementation, definition),
    path,
  };
}

/** The steps for a text that continues another one; null if they are the same as at the start. */
function stepsWithin(definition: Json, config: Json): Steps | null {
  const changed = goingOn(definition);
  if (changed === null) return null;
  const model = { type: 'BPE', vocab: {}, merges: [] };
  const { normalizer, pre_tokenizer } = new Implementation(
    { ...definition, ...changed, model, added_tokens: [] },
    config,
  );
  return { normalizer, preTokenizer: pre_tokenizer };
}

/** Undoes changes by added tokens to the model, which must not make those that the search rejected (`single_word`). */
function forgetAdded({ model }: Implementation, { added_tokens, model: given }: Json): void {
  const { vocab } = given as { vocab: unknown };
  if (Array.isArray(vocab)) return;
  for (const { content } of added_tokens as { content: string }[]) {
    const own = Object.hasOwn(vocab as object, content)
      ? (vocab as Record<string, number>)[content]
      : undefined;
    if (own === undefined) model.tokens_to_ids.delete(content);
    else model.tokens_to_ids.set(content, own);
  }
}

/** Keeps byte order marks, which are characters of a text. */
function keepByteOrderMarks({ decoder }: Implementation): void {
  if (decoder === null) return;
  for (const step of [decoder, ...(decoder.decoders ?? [])]) {
    if (step.text_decoder !== undefined) step.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  }
}

function anchorOf(implementation: Implementation, { decoder, model, added_tokens }: Json): number | null {
  if ((decoder as Json | null)?.type === 'ByteLevel') return null;
  const added = new Set((added_tokens as Json[]).map(({ id }) => id));
  const { vocab } = model as { vocab: [string, number][] | Record<string, number> };
  const entries = Array.isArray(vocab)
    ? vocab.map(([token], id) => [token, id] as const)
    : Object.entries(vocab);
  for (const [token, id] of entries) {
    if (!/^\p{L}+$/u.test(token) || added.has(id)) continue;
    const options = { skip_special_tokens: true, clean_up_tokenization_spaces: false };
    if (implementation.decode([id], options) === token) return id;
  }
  return null;
}

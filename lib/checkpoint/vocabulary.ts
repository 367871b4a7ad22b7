import { quote } from './format';

type Json = Record<string, unknown>;

/** Tokens with conflicting ids that are reported; further ones are counted. */
const warnedTokens = 5;

/** The tokens of tokenizer.json and tokenizer_config.json together. */
export interface Vocabulary {
  /** Complete `added_tokens`. */
  readonly added: readonly Json[];
  /** One more than the highest id. */
  readonly size: number;
}

/**
 * Checks that every id is an integer below `limit` and every token has a unique id.
 * Adds tokens that only tokenizer_config.json has, as transformers does.
 *
 * @param warn called if an id differs from tokenizer.json, which takes precedence
 * @throws Error naming the tokens, without the name of the file
 */
export function readVocabulary(
  definition: Json,
  config: Json,
  limit: number,
  warn: (message: string) => void,
): Vocabulary {
  checkKinds(definition, config);
  const tokens = new Tokens(limit);
  const { vocab } = definition.model as { vocab: Json | unknown[] };
  // For Unigram, a list of pieces with their scores, which may repeat a piece.
  if (Array.isArray(vocab))
    vocab.forEach((piece, id) => void tokens.add(String([piece].flat()[0]), id, true));
  else for (const [token, id] of Object.entries(vocab)) tokens.add(token, id);
  const added = [...((definition.added_tokens ?? []) as Json[])];
  for (const { content, id } of added) tokens.add(String(content), id);
  const contents = new Set(added.map((token) => token.content));
  let others = 0;
  for (const [key, token] of Object.entries((config.added_tokens_decoder ?? {}) as Record<string, Json>)) {
    const content = String(token.content);
    const known = tokens.idOf(content);
    if (known !== undefined && known !== Number(key) && ++others <= warnedTokens) {
      warn(
        `tokenizer_config.json has ${quote(content)} as ${key}, tokenizer.json as ${known}, which is taken`,
      );
    }
    if (contents.has(token.content)) continue;
    const id = known ?? Number(key);
    tokens.add(content, id);
    added.push({ ...token, id });
  }
  if (others > warnedTokens)
    warn(`${others - warnedTokens} more tokens have other ids in tokenizer_config.json`);
  return { added, size: tokens.size };
}

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isToken = (value: unknown) => isRecord(value) && typeof value.content === 'string';
const isMerge = (value: unknown) =>
  [value].flat().every((part) => typeof part === 'string') && [1, 2].includes([value].flat().length);

/** Checks types on which the tokenizer library relies. */
function checkKinds({ model, added_tokens }: Json, { added_tokens_decoder }: Json): void {
  const demand = (holds: boolean, what: string) => {
    if (!holds) throw new Error(what);
  };
  const { vocab, merges, type } = isRecord(model) ? model : {};
  demand(typeof vocab === 'object' && vocab !== null, 'model.vocab must be an object or a list');
  demand(
    (merges === undefined && type !== 'BPE') || (Array.isArray(merges) && merges.every(isMerge)),
    'model.merges must be a list of pairs of tokens',
  );
  const added = added_tokens ?? [];
  demand(
    Array.isArray(added) && added.every(isToken),
    'added_tokens must be a list of objects with a content',
  );
  const named = added_tokens_decoder ?? {};
  demand(
    isRecord(named) && Object.values(named).every(isToken),
    'added_tokens_decoder of tokenizer_config.json must be an object of objects with a content',
  );
}

/** Tokens and their unique ids. */
class Tokens {
  size = 0;
  readonly #ids = new Map<string, number>();
  readonly #tokens = new Map<number, string>();

  constructor(private readonly limit: number) {}

  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /** `repeats`: a token may occur again with another id; the first one counts. */
  add(token: string, id: unknown, repeats = false): void {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= this.limit) {
      const shown = typeof id === 'number' ? id : quote(String(id));
      throw new Error(`token ${quote(token)} has id ${shown}, vocab_size is ${this.limit}`);
    }
    const other = this.#tokens.get(id as number);
    if (other !== undefined && other !== token) {
      throw new Error(`tokens ${quote(other)} and ${quote(token)} have the same id, ${id}`);
    }
    const before = this.#ids.get(token);
    if (before !== undefined && before !== id && !repeats) {
      throw new Error(`token ${quote(token)} has two ids, ${before} and ${id}`);
    }
    this.#tokens.set(id as number, token);
    if (before === undefined) this.#ids.set(token, id as number);
    this.size = Math.max(this.size, (id as number) + 1);
  }
}

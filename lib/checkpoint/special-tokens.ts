import type { SpecialTokenIds } from '../api/types';
import { familyNamed } from '../families';
import type { Family } from '../families/family';
import { RND1Error } from '../support/errors';
import type { Fields } from '../support/fields';
import { specialTokenNames } from '../support/option-names';
import { integerOption, optionsObject, tokenList } from '../support/validate';
import type { ModelConfig, SpecialTokens } from './config';
import type { NamedTokens, Tokenizer } from './tokenizer/tokenizer';

/** Where special tokens may come from, besides the configuration files. */
export interface TokenSources {
  /** By the caller. */
  readonly given: SpecialTokenIds;
  /** By the tokenizer. */
  readonly named: NamedTokens;
  readonly family: Family;
  readonly vocabulary: number;
}

/** Checks and copies the option `specialTokens`. Without `vocabulary`, all that is known before config.json is read. */
export function checkSpecialTokens(value: SpecialTokenIds, vocabulary = 2 ** 31 - 1): SpecialTokenIds {
  const { eos, ...ids } = optionsObject('specialTokens', value, specialTokenNames);
  const id = (name: string, value: unknown) =>
    integerOption(`specialTokens.${name}`, value, 0, vocabulary - 1);
  for (const [name, value] of Object.entries(ids)) {
    if (value !== undefined && value !== null) id(name, value);
  }
  if (eos === undefined || eos === null) return { ...ids, eos };
  const list =
    typeof eos === 'number' ? [id('eos', eos)] : [...tokenList('specialTokens.eos', eos, vocabulary)];
  return { ...ids, eos: [...new Set(list)] };
}

/**
 * The first id of: those given; the files in order; the tokenizer and then the family's own, only if no file has the
 * key, not even as null. A mask that is null counts as absent for the family, whose models all have one.
 */
export function readTokens(
  files: readonly Fields[],
  { given, named, family, vocabulary }: TokenSources,
): SpecialTokens {
  const first = <T>(
    key: string,
    own: T | null | undefined,
    read: (fields: Fields) => T | undefined,
    fallback: T | undefined,
  ): T | undefined => {
    if (own !== undefined) return own ?? undefined;
    const value = files.map(read).find((value) => value !== undefined);
    return value ?? (files.some((fields) => fields.has(key)) ? undefined : fallback);
  };
  const known = (id: number | undefined) => (id !== undefined && id < vocabulary ? id : undefined);
  const one = (name: 'mask' | 'pad' | 'bos') =>
    first(
      `${name}_token_id`,
      given[name],
      (fields) => fields.optionalToken(`${name}_token_id`, vocabulary),
      named[name] ?? known(family.tokens[name]),
    );
  const maskTokenId = one('mask') ?? (given.mask === null ? undefined : known(family.tokens.mask));
  if (maskTokenId === undefined && family.needsMask && given.mask === undefined) {
    throw new RND1Error(
      'invalid_checkpoint',
      `mask_token_id is missing in ${files.map((fields) => fields.path).join(' and ')}`,
    );
  }
  const knownEos = (family.tokens.eos ?? []).filter((id) => id < vocabulary);
  return {
    maskTokenId: maskTokenId ?? null,
    eosTokenIds:
      first(
        'eos_token_id',
        given.eos as readonly number[] | null | undefined,
        (fields) => fields.optionalTokens('eos_token_id', vocabulary),
        named.eos === undefined ? knownEos : [named.eos],
      ) ?? [],
    padTokenId: one('pad') ?? null,
    bosTokenId: one('bos') ?? null,
  };
}

/** Special tokens with the one that ends a turn of the family's conversations among those that end a text. */
export function withEndOfTurn(
  config: ModelConfig,
  tokenizer: Pick<Tokenizer, 'idOf'> | null,
  given: SpecialTokenIds = {},
): ModelConfig {
  const { endOfTurn } = familyNamed(config.family).chat ?? {};
  const id = endOfTurn === undefined ? undefined : tokenizer?.idOf(endOfTurn);
  const { eosTokenIds, maskTokenId } = config.tokens;
  if (id === undefined || given.eos !== undefined || id === maskTokenId || eosTokenIds.includes(id))
    return config;
  return { ...config, tokens: { ...config.tokens, eosTokenIds: [...eosTokenIds, id] } };
}

/** Throws `invalid_checkpoint` if the mask token is another special token, too: its meaning would be ambiguous. */
export function refuseSharedMask(tokens: SpecialTokens, where: string): void {
  const { maskTokenId, eosTokenIds, padTokenId, bosTokenId } = tokens;
  if (maskTokenId === null) return;
  const others: [string, readonly (number | null)[]][] = [
    ['eos_token_id', eosTokenIds],
    ['pad_token_id', [padTokenId]],
    ['bos_token_id', [bosTokenId]],
  ];
  const shared = others.find(([, ids]) => ids.includes(maskTokenId));
  if (shared === undefined) return;
  throw new RND1Error('invalid_checkpoint', `${where}: mask_token_id ${maskTokenId} is ${shared[0]}, too`);
}

/** Warnings about files that name different special tokens; the first one takes precedence, given ones over all. */
export function tokenWarnings(
  generation: Fields,
  config: Fields,
  { given, named, tokens }: Pick<TokenSources, 'given' | 'named'> & { readonly tokens: SpecialTokens },
): string[] {
  const warnings: string[] = [];
  for (const name of ['mask', 'eos', 'pad', 'bos'] as const) {
    if (given[name] !== undefined) continue;
    const key = `${name}_token_id`;
    const [first, second] = [idsOf(generation.get(key)), idsOf(config.get(key))];
    // generation_config.json may list more end-of-text tokens.
    if (!isWithin(second, first) && !isWithin(first, second)) {
      warnings.push(
        `${generation.path}: ${key} ${first.join(', ')} is taken, not ${second.join(', ')} of ${config.path}`,
      );
    }
    const used = name === 'eos' ? tokens.eosTokenIds : idsOf(tokens[`${name}TokenId`]);
    const id = named[name];
    if (id !== undefined && used.length > 0 && !used.includes(id)) {
      warnings.push(
        `${config.path}: ${key} ${used.join(', ')} is taken; ${name}_token of tokenizer_config.json is ${id}`,
      );
    }
  }
  return warnings;
}

const idsOf = (value: unknown): unknown[] =>
  value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];

const isWithin = (some: readonly unknown[], all: readonly unknown[]) => some.every((id) => all.includes(id));

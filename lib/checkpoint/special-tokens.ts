import { RND1Error } from '../support/errors';
import type { SpecialTokens } from './config';
import type { Fields } from './fields';
import type { NamedTokens } from './tokenizer/tokenizer';

/** Throws `invalid_checkpoint` if the mask token is another special token, too: its meaning would be ambiguous. */
export function refuseSharedMask(tokens: SpecialTokens, where: string): void {
  const { maskTokenId, eosTokenIds, padTokenId, bosTokenId } = tokens;
  const others: [string, readonly (number | null)[]][] = [
    ['eos_token_id', eosTokenIds],
    ['pad_token_id', [padTokenId]],
    ['bos_token_id', [bosTokenId]],
  ];
  const shared = others.find(([, ids]) => ids.includes(maskTokenId));
  if (shared === undefined) return;
  throw new RND1Error('invalid_checkpoint', `${where}: mask_token_id ${maskTokenId} is ${shared[0]}, too`);
}

/** Warnings about files that name different special tokens; the first one takes precedence. */
export function tokenWarnings(
  generation: Fields,
  config: Fields,
  named: NamedTokens,
  tokens: SpecialTokens,
): string[] {
  const warnings: string[] = [];
  for (const name of ['mask', 'eos', 'pad', 'bos'] as const) {
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

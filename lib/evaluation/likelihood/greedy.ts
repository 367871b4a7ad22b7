import type { DiffusionLM, TokenIds } from '../../index';
import { integerOption, numberOption, optionsObject, signalOption, tokenList } from '../../support/validate';
import { guidedLogits, normalizerOf } from './cross-entropies';
import { maskToken } from './estimate';

/** Options of `greedyContinuation`. */
export interface GreedyOptions {
  /** The tokens before. */
  readonly prefix: TokenIds;
  /** Number of tokens to fill. */
  readonly length: number;
  /** Strength of guidance by the predictions without the prompt; doubles the passes. @default 0, none */
  readonly guidance?: number;
  /** When it aborts, the call rejects with its reason. @default none */
  readonly signal?: AbortSignal;
}

/** What `greedyContinuation` returns. */
export interface GreedyContinuation {
  /** The tokens that were filled. */
  readonly tokens: readonly number[];
  /** The tokens before each pass, masks included. */
  readonly states: readonly (readonly number[])[];
}

const names = { prefix: true, length: true, guidance: true, signal: true } as const;

/**
 * Fills masks behind a prefix, the most confident one of each pass: LLaDA's test whether a target is what a model would
 * have written itself.
 *
 * @throws as `estimateLikelihood`
 */
export async function greedyContinuation(
  model: DiffusionLM,
  options: GreedyOptions,
): Promise<GreedyContinuation> {
  const given = optionsObject('options', options, names);
  const mask = maskToken(model);
  const prefix = tokenList('prefix', given.prefix, model.config.architecture.vocabulary);
  const guidance = numberOption('guidance', given.guidance ?? 0, 0);
  const signal = signalOption(given.signal);
  const tokens = new Array<number>(integerOption('length', given.length, 0)).fill(mask);
  const states: number[][] = [];
  for (let pass = 0; pass < tokens.length; pass++) {
    states.push([...tokens]);
    const open = tokens.flatMap((token, i) => (token === mask ? [i] : []));
    if (open.length === 0) break;
    const canvas = {
      tokens: [...prefix, ...tokens],
      ...(guidance > 0 && { unguided: [...prefix.map(() => mask), ...tokens] }),
      positions: open.map((i) => prefix.length + i),
    };
    const [rows] = await guidedLogits(model, [canvas], { guidance, signal });
    const { place, token } = mostConfident(rows as readonly Logits[]);
    tokens[open[place] as number] = token;
  }
  return { tokens, states };
}

type Logits = ArrayLike<number> & Iterable<number>;

/** The row whose best token has the highest probability, in single precision as in the original; the first of equals. */
function mostConfident(rows: readonly Logits[]): { place: number; token: number } {
  let best = { place: 0, token: 0, probability: -1 };
  for (const [place, logits] of rows.entries()) {
    let token = 0;
    for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[token] as number)) token = i;
    const probability = Math.fround(Math.exp((logits[token] as number) - normalizerOf(logits)));
    if (probability > best.probability) best = { place, token, probability };
  }
  return best;
}

import type { TokenIds } from '../../index';
import {
  integerOption,
  numberOption,
  optionsObject,
  quote,
  signalOption,
  tokenList,
  wordOption,
} from '../../support/validate';
import type { MaskedRow } from './draws';

/** How the likelihood of a target is estimated. */
export type Estimator =
  /** LLaDA's published law: levels at even distances, rounded half to even, which biases some target lengths. */
  | 'llada'
  /** Dream's published law: every position is masked independently, at rates at even distances. */
  | 'dream'
  /** Unbiased: levels are stratified, and the masks of a round cover all positions equally often. */
  | 'stratified'
  /**
   * No random numbers: of causal models the chain rule in one pass, of others the mean over all sets of masked positions,
   * which takes 2^L − 1 passes for L tokens.
   */
  | 'exact'
  /** The chain rule from the first token to the last with those after it masked: as many passes as tokens. */
  | 'left-to-right'
  /** The chain rule from the last token to the first with those before it masked. */
  | 'right-to-left';

const estimators = ['llada', 'dream', 'stratified', 'exact', 'left-to-right', 'right-to-left'] as const;

/** Options of `estimateLikelihood`. */
export interface LikelihoodOptions {
  /** The tokens before the target. */
  readonly prefix: TokenIds;
  /** The tokens whose likelihood is estimated. */
  readonly target: TokenIds;
  /** Tokens behind the target, which are seen and not scored: Dream's end of text, for example. @default none */
  readonly suffix?: TokenIds;
  /** @default 'exact' for causal models, 'stratified' for others */
  readonly estimator?: Estimator;
  /** Number of masks, a multiple of `batch`. @default 128 */
  readonly samples?: number;
  /** Masks of a round, whose levels are drawn together. @default 8; 32 for 'dream', 16 for 'stratified' */
  readonly batch?: number;
  /** Dream's lowest rate. @default 1e-3 */
  readonly epsilon?: number;
  /**
   * Strength of guidance by the model's predictions without the prompt, for 'llada'; doubles the passes. @default 0, none
   */
  readonly guidance?: number;
  /** Seed of the random masks. @default 0 */
  readonly seed?: number | bigint;
  /**
   * The masks to use instead of random ones, round by round: positions from the start of the scored part. `samples`,
   * `batch` and `seed` then have no effect.
   */
  readonly masks?: readonly (readonly MaskedRow[])[];
  /** What is scored, for 'dream': the target, or as its other modes do, the prefix or both. @default 'target' */
  readonly part?: 'target' | 'prefix' | 'both';
  /**
   * What the mask token in the prefix or suffix means, for 'llada': a mistake, or, as in LLaDA's code, one more masked
   * position, which is scored as itself. @default 'refuse'
   */
  readonly maskInPrompt?: 'refuse' | 'score';
  /** When it aborts, the call rejects with its reason. @default none */
  readonly signal?: AbortSignal;
}

const names: Readonly<Record<keyof LikelihoodOptions, true>> = {
  prefix: true,
  target: true,
  suffix: true,
  estimator: true,
  samples: true,
  batch: true,
  epsilon: true,
  guidance: true,
  seed: true,
  masks: true,
  part: true,
  maskInPrompt: true,
  signal: true,
};

const batches: Partial<Record<Estimator, number>> = { dream: 32, stratified: 16 };

/** Checked options with all defaults. */
export type LikelihoodSettings = Required<Omit<LikelihoodOptions, 'masks' | 'signal' | keyof Tokens>> &
  Pick<LikelihoodOptions, 'masks' | 'signal'> &
  Tokens;

interface Tokens {
  readonly prefix: readonly number[];
  readonly target: readonly number[];
  readonly suffix: readonly number[];
}

/** @throws TypeError or RangeError naming the option */
export function readLikelihoodOptions(
  options: LikelihoodOptions,
  { causal, vocabulary }: { readonly causal: boolean; readonly vocabulary: number },
): LikelihoodSettings {
  const given = optionsObject('options', options, names);
  const estimator = wordOption('estimator', given.estimator ?? (causal ? 'exact' : 'stratified'), estimators);
  if (causal && estimator !== 'exact')
    throw new TypeError(`estimator is '${estimator}', but likelihoods of a causal model are exact`);
  const { samples = 128, batch = Math.min(batches[estimator] ?? 8, samples), seed = 0 } = given;
  integerOption('samples', samples, 1);
  integerOption('batch', batch, 1);
  if (samples % batch !== 0)
    throw new RangeError(`samples is ${samples}, which is no multiple of batch, ${batch}`);
  const settings = {
    prefix: [...tokenList('prefix', given.prefix, vocabulary)],
    target: [...tokenList('target', given.target, vocabulary)],
    suffix: [...tokenList('suffix', given.suffix ?? [], vocabulary)],
    estimator,
    samples,
    batch,
    epsilon: numberOption('epsilon', given.epsilon ?? 1e-3, 0, 1),
    guidance: numberOption('guidance', given.guidance ?? 0, 0),
    seed: typeof seed === 'bigint' ? seed : integerOption('seed', seed, Number.MIN_SAFE_INTEGER),
    part: wordOption('part', given.part ?? 'target', ['target', 'prefix', 'both'] as const),
    maskInPrompt: wordOption('maskInPrompt', given.maskInPrompt ?? 'refuse', ['refuse', 'score'] as const),
    masks: given.masks,
    signal: signalOption(given.signal),
  };
  for (const [option, value, none, owner] of [
    ['guidance', settings.guidance, 0, 'llada'],
    ['part', settings.part, 'target', 'dream'],
    ['maskInPrompt', settings.maskInPrompt, 'refuse', 'llada'],
  ] as const) {
    if (value !== none && estimator !== owner)
      throw new TypeError(`${option} is ${quote(value)}, which only the estimator '${owner}' has`);
  }
  return settings;
}

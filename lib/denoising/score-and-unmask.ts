import { types } from 'node:util';
import type { StepCanvas, StepPlan } from '../../types/native';
import { withJSON } from '../api/json';
import type { TokenIds, UnmaskRequest, UnmaskResult } from '../api/types';
import { loadBinding } from '../runtime/binding';
import { fromNative, RND1Error } from '../support/errors';
import { unmaskNames } from '../support/option-names';
import {
  bannedList,
  integerOption,
  numberOption,
  optionsObject,
  positionList,
  quote,
  tokenList,
  wordOption,
} from '../support/validate';
import { readScoring, readSeed } from './sampling-options';
import { plainCanvas, plainPlan } from './state';

/**
 * Computes from the logits of a canvas what one step would commit: the same rule that the loop uses, without a model.
 *
 * @param logits [request.tokens.length, vocabulary], row by row: row i − 1 predicts position i. −∞ bans a token.
 * @throws RND1Error `not_finite` for NaN and +∞ in a row that is scored
 */
export async function scoreAndUnmask(logits: Float32Array, request: UnmaskRequest): Promise<UnmaskResult> {
  if (!types.isFloat32Array(logits)) {
    throw new TypeError(`logits must be a Float32Array, not ${quote(logits)}`);
  }
  const options = optionsObject('request', request, unmaskNames);
  const tokens = tokenList('tokens', options.tokens, 2 ** 31 - 1);
  const vocabulary = logits.length / tokens.length;
  if (!Number.isInteger(vocabulary) || vocabulary < 1) {
    throw new RangeError(
      `${logits.length} logits are not a whole number of rows for ${tokens.length} tokens`,
    );
  }
  tokenList('tokens', tokens, vocabulary);
  const masked = positionList('masked', options.masked, tokens.length);
  refuseUnsorted(options.masked, masked);
  const plan = readPlan(options, masked, tokens.length, vocabulary);
  const canvas: StepCanvas = { tokens, masked, plan, ...plainCanvas };
  if (masked.length === 0) {
    const none = new Int32Array();
    const nothing = new Float32Array();
    return withJSON({ committed: none, predicted: none, confidence: nothing, entropy: nothing });
  }
  const native = loadBinding();
  // An async function, so that a synchronous throw of the addon becomes a rejection too.
  const result = await (async () => native.scoreAndUnmask(logits, vocabulary, canvas))().catch(
    (error: unknown) => {
      throw fromNative(error);
    },
  );
  if (result.notFinite) throw new RND1Error('not_finite', 'the logits hold NaN or infinity');
  const { committed, predicted, confidence, entropy } = result;
  return withJSON({ committed, predicted, confidence, entropy });
}

function readPlan(request: UnmaskRequest, masked: Int32Array, length: number, vocabulary: number): StepPlan {
  const limit = readLimit(request.limit ?? { keep: 0 });
  const order = wordOption('order', request.order ?? (limit.limit === 'keep' ? 'entropy' : 'confidence'), [
    'entropy',
    'confidence',
    'margin',
    'random',
  ]);
  return {
    ...plainPlan,
    ...readScoring(request),
    ...limit,
    order,
    eligible: readEligible(request, masked, length),
    seed: readSeed(request.seed ?? 0),
    round: integerOption('round', request.round ?? 1, 0, 2 ** 31 - 1),
    banned: bannedList(request.banned, vocabulary),
  };
}

/** Results are aligned with `masked`, so sorting it silently would misalign them for the caller. */
function refuseUnsorted(given: TokenIds, sorted: Int32Array): void {
  const index = sorted.findIndex((position, i) => given[i] !== position);
  if (index !== -1)
    throw new RangeError(`masked must ascend, but masked[${index}] is ${quote(given[index])}`);
}

function readEligible({ eligible }: UnmaskRequest, masked: Int32Array, length: number): Int32Array | null {
  if (eligible === undefined) return null;
  const positions = positionList('eligible', eligible, length);
  const known = new Set(masked);
  for (const position of positions) {
    if (!known.has(position))
      throw new RangeError(`eligible holds position ${position}, which masked does not`);
  }
  return positions;
}

function readLimit(limit: NonNullable<UnmaskRequest['limit']>): Pick<StepPlan, 'limit' | 'value'> {
  const entries = typeof limit === 'object' && limit !== null ? Object.entries(limit) : [];
  const [name, value] = entries[0] ?? [];
  if (entries.length === 1 && name === 'keep') {
    return { limit: 'keep', value: integerOption('limit.keep', value, 0, 2 ** 31 - 1) };
  }
  if (entries.length === 1 && name === 'gamma') {
    return { limit: 'gamma', value: numberOption('limit.gamma', value) };
  }
  if (entries.length === 1 && name === 'tau') {
    const tau = numberOption('limit.tau', value, 0, 1);
    if (tau === 0) throw new RangeError('limit.tau must be above 0, not 0');
    return { limit: 'tau', value: tau };
  }
  throw new TypeError(`limit must be { keep }, { gamma } or { tau }, not ${quote(limit)}`);
}

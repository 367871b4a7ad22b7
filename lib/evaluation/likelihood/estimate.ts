import type { DiffusionLM } from '../../index';
import { type EntropySource, entropySums, estimateRounds, type LikelihoodEstimate } from './combine';
import { crossEntropies } from './cross-entropies';
import { allMasks, checkMasks, drawMasks } from './draws';
import { type LikelihoodOptions, type LikelihoodSettings, readLikelihoodOptions } from './options';

/**
 * Estimates the log-likelihood of tokens after others. Many masks share a call of the model, equal ones are computed
 * once, and the same seed gives the same value whatever else the model does.
 *
 * @returns the log-likelihood in nats, its Monte-Carlo error and the number of passes
 * @throws RND1Error as `DiffusionLM.forwardAll`, and `unsupported_model` for a model without a mask token; TypeError or
 *   RangeError for wrong options
 */
export async function estimateLikelihood(
  model: DiffusionLM,
  options: LikelihoodOptions,
): Promise<LikelihoodEstimate> {
  const causal = isCausal(model);
  const { vocabulary } = model.config.architecture;
  const settings = readLikelihoodOptions(options, { causal, vocabulary });
  if (settings.target.length === 0) return { value: 0, standardError: 0, passes: 0, rounds: [] };
  if (causal) return chainOfCausal(model, settings);
  const part = scoredPart(settings);
  const source = entropySource(model, settings, part.start);
  const copies = settings.guidance === 0 ? 1 : 2;
  const counted = <T extends LikelihoodEstimate>(estimate: T) => ({
    ...estimate,
    passes: estimate.passes * copies,
  });
  if (settings.estimator === 'exact') {
    const rows = allMasks(part.length);
    const { sums, sets } = await entropySums(rows, source);
    const terms = rows.map(({ rate }, i) => (sums[i] as number) / (rate as number));
    return counted(exactly(terms, sets));
  }
  if (settings.estimator === 'left-to-right' || settings.estimator === 'right-to-left')
    return chainOfMasks(settings.estimator, part.length, source);
  const masks =
    settings.masks === undefined
      ? drawMasks({ ...settings, ...part })
      : checkMasks(settings.masks, part.length);
  return counted(await estimateRounds(masks, part.length, source));
}

/** Whether positions see only those before them. */
export const isCausal = ({ config }: DiffusionLM): boolean =>
  config.architecture.layers[0]?.attention.block === 1;

const exactly = (entropies: readonly number[], passes: number): LikelihoodEstimate => ({
  value: -entropies.reduce((total, each) => total + each, 0),
  standardError: 0,
  passes,
  rounds: [],
});

/** The positions that are scored. Dream masks neither the first nor the last position of the whole sequence. */
function scoredPart({ part, prefix, target, suffix }: LikelihoodSettings) {
  const start = part === 'target' ? prefix.length : 0;
  const whole = prefix.length + target.length + suffix.length;
  const end = part === 'prefix' ? prefix.length : prefix.length + target.length;
  const length = end - start;
  const eligible = Array.from({ length }, (_, i) => i).filter(
    (i) => start + i !== 0 && start + i !== whole - 1,
  );
  return { start, length, eligible };
}

/** Masks positions from `start` on and scores them. */
function entropySource(model: DiffusionLM, settings: LikelihoodSettings, start: number): EntropySource {
  const { prefix, target, suffix, guidance, maskInPrompt, signal } = settings;
  const mask = maskToken(model);
  const sequence = [...prefix, ...target, ...suffix];
  const inPrompt = maskPositions(settings, mask);
  if (inPrompt.length > 0 && maskInPrompt === 'refuse')
    throw new RangeError(`the prompt holds the mask token, ${mask}, at position ${inPrompt[0]}`);
  return (rows) =>
    crossEntropies(
      model,
      rows
        .map((masked) => {
          const positions = [...masked.map((i) => start + i), ...inPrompt];
          const hidden = new Set(positions);
          const tokens = sequence.map((token, i) => (hidden.has(i) ? mask : token));
          const unguided = tokens.map((token, i) => (i < prefix.length ? mask : token));
          return {
            tokens,
            ...(guidance > 0 && { unguided }),
            positions,
            wanted: positions.map((position) => sequence[position] as number),
          };
        })
        .filter(({ positions }) => positions.length > 0),
      { guidance, signal },
    ).then((entropies) => {
      let next = 0;
      return rows.map((masked) =>
        masked.length + inPrompt.length > 0 ? (entropies[next++] as number[]) : [],
      );
    });
}

function maskPositions({ prefix, target, suffix }: LikelihoodSettings, mask: number): number[] {
  const sequence = [...prefix, ...target.map(() => -1), ...suffix];
  return sequence.flatMap((token, i) => (token === mask ? [i] : []));
}

/** @throws TypeError for a model without one */
export function maskToken({ config }: DiffusionLM): number {
  const { maskTokenId } = config.tokens;
  if (maskTokenId === null) throw new TypeError('the model has no mask token: name one when loading it');
  return maskTokenId;
}

/** The chain rule over masks: each position is predicted with those on its other side masked. */
async function chainOfMasks(
  order: 'left-to-right' | 'right-to-left',
  length: number,
  source: EntropySource,
): Promise<LikelihoodEstimate> {
  const rows = Array.from({ length }, (_, i) =>
    order === 'left-to-right'
      ? Array.from({ length: length - i }, (_, j) => i + j)
      : Array.from({ length: i + 1 }, (_, j) => i - j),
  );
  // The first masked position of each row is the one that counts.
  const entropies = await source(rows);
  return exactly(
    entropies.map(([first]) => first as number),
    length,
  );
}

/** The chain rule of a causal model, in one pass. */
async function chainOfCausal(
  model: DiffusionLM,
  { prefix, target, signal }: LikelihoodSettings,
): Promise<LikelihoodEstimate> {
  if (prefix.length === 0) throw new RangeError('prefix must hold at least one token for a causal model');
  const canvas = {
    tokens: [...prefix, ...target],
    positions: target.map((_, i) => prefix.length + i),
    wanted: target,
  };
  const [entropies] = await crossEntropies(model, [canvas], { guidance: 0, signal });
  return exactly(entropies as number[], 1);
}

import { randomInt } from 'node:crypto';
import type { SamplingOptions } from '../api/types';
import { booleanOption, integerOption, numberOption, quote, signalOption } from '../support/validate';
import { type Rule, readSchedule } from './schedule';

/** How a step samples and scores, without the schedule. */
export interface Scoring {
  /** As the kernels expect it: 0 in the options has become greedy at temperature 1. */
  readonly temperature: number;
  /** 0 = off. */
  readonly topK: number;
  /** 1 = off. */
  readonly topP: number;
  readonly greedy: boolean;
}

export type ScoringOptions = Pick<SamplingOptions, 'temperature' | 'topK' | 'topP' | 'greedy'>;

/** Validates the scoring options and fills in the defaults. */
export function readScoring(options: ScoringOptions): Scoring {
  // Up to the largest f32, because the kernels divide in f32.
  const temperature = numberOption('temperature', options.temperature ?? 0, 0, 3.4e38);
  const topK = integerOption('topK', options.topK ?? 0, 0);
  const topP = numberOption('topP', options.topP ?? 1, 0, 1);
  const greedy = booleanOption('greedy', options.greedy, false);
  return {
    temperature: temperature === 0 ? 1 : temperature,
    topK: Math.min(topK, 2 ** 31 - 1),
    topP: topP === 0 ? 1 : topP,
    greedy: greedy || temperature === 0,
  };
}

/** The low 64 bits of a seed; a random one if none is given. */
export function readSeed(seed: number | bigint | undefined): bigint {
  // 48 bits, so that a random seed is easy to type and survives JSON.
  if (seed === undefined) return BigInt(randomInt(2 ** 48 - 1));
  if (typeof seed === 'bigint') {
    if (seed < -(2n ** 63n) || seed >= 2n ** 64n) {
      throw new RangeError(`seed must fit 64 bits, not ${quote(seed)}`);
    }
    return BigInt.asUintN(64, seed);
  }
  if (typeof seed !== 'number')
    throw new TypeError(`seed must be an integer or a bigint, not ${quote(seed)}`);
  return BigInt.asUintN(64, BigInt(integerOption('seed', seed, Number.MIN_SAFE_INTEGER)));
}

/** Everything in `SamplingOptions`, validated. */
export interface Sampling extends Scoring {
  /** null = the default, which depends on the canvas. */
  readonly steps: number | null;
  readonly rule: Rule;
  /** null = no blocks. */
  readonly blockLength: number | null;
  readonly seed: bigint;
  readonly initialFrame: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Validates `SamplingOptions` and fills in the defaults that do not depend on the canvas. */
export function readSampling(options: SamplingOptions): Sampling {
  const steps = options.steps === undefined ? null : integerOption('steps', options.steps, 0, 2 ** 31 - 1);
  return {
    ...readScoring(options),
    ...readSchedule(options.schedule),
    steps,
    seed: readSeed(options.seed),
    initialFrame: booleanOption('initialFrame', options.initialFrame, false),
    signal: signalOption(options.signal),
  };
}

import { randomInt } from 'node:crypto';
import type { Editing, SamplingOptions, Schedule } from '../api/types';
import type { Preset } from '../families/family';
import { samplingNames } from '../support/option-names';
import {
  booleanOption,
  integerOption,
  numberOption,
  optionsObject,
  quote,
  signalOption,
  wordOption,
} from '../support/validate';
import { type Counting, readCounts } from './counts';
import { type BlockRule, type Rule, readSchedule } from './schedule';

/** How a step samples and scores, without the schedule. */
export interface Scoring {
  /** As the kernels expect it: 0 in the options has become greedy at temperature 1. */
  readonly temperature: number;
  /** 0 = off. */
  readonly topK: number;
  /** 1 = off. */
  readonly topP: number;
  /** Whether topP comes before topK. */
  readonly topPFirst: boolean;
  /** Whether confidences are of the distribution before temperature and filters. */
  readonly rawConfidence: boolean;
  readonly greedy: boolean;
}

export type ScoringOptions = Pick<
  SamplingOptions,
  'temperature' | 'topK' | 'topP' | 'filterOrder' | 'confidence' | 'greedy'
>;

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
    topPFirst: wordOption('filterOrder', options.filterOrder ?? 'top-k', ['top-k', 'top-p']) === 'top-p',
    rawConfidence: wordOption('confidence', options.confidence ?? 'filtered', ['filtered', 'raw']) === 'raw',
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
  readonly counting: Counting;
  /** null = no blocks. */
  readonly blocks: BlockRule | null;
  /** 0 = off. */
  readonly algTemp: number;
  /** 0 = off. */
  readonly cfgScale: number;
  readonly suppressEos: boolean | 'first';
  readonly zeroEosConfidence: boolean;
  readonly editing: Required<Editing> | null;
  readonly remask: boolean;
  readonly idleSteps: 'skip' | 'until-filled' | 'run';
  readonly seed: bigint;
  readonly initialFrame: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Validates `SamplingOptions` and fills in the defaults that do not depend on the canvas. */
export function readSampling(given: SamplingOptions, preset: Preset = {}): Sampling {
  const options = withDefaults(given, preset);
  const steps = options.steps === undefined ? null : integerOption('steps', options.steps, 0, 2 ** 31 - 1);
  const idleSteps = wordOption('idleSteps', options.idleSteps ?? 'skip', ['skip', 'until-filled', 'run']);
  const sampling: Sampling = {
    ...readScoring(options),
    ...readSchedule(options.schedule),
    counting: readCounts(options.counts),
    steps,
    algTemp: numberOption('algTemp', options.algTemp ?? 0, 0, 3.4e38),
    cfgScale: numberOption('cfgScale', options.cfgScale ?? 0, 0, 3.4e38),
    suppressEos:
      options.suppressEos === 'first' ? 'first' : booleanOption('suppressEos', options.suppressEos, false),
    zeroEosConfidence: booleanOption('zeroEosConfidence', options.zeroEosConfidence, false),
    editing: readEditing(options.editing ?? null),
    remask: booleanOption('remask', options.remask, false),
    idleSteps,
    seed: readSeed(options.seed),
    initialFrame: booleanOption('initialFrame', options.initialFrame, false),
    signal: signalOption(options.signal),
  };
  if (steps !== null && typeof sampling.blocks?.steps === 'number') {
    throw new TypeError(
      `steps and schedule.steps exclude each other, but they are ${steps} and ${sampling.blocks.steps}: all steps, and those of each block`,
    );
  }
  if (sampling.algTemp > 0 && (sampling.rule.limit !== 'keep' || sampling.rule.order === 'random')) {
    throw new TypeError(
      `algTemp needs a schedule by entropy, confidence or margin, but it is ${quote(options.algTemp)} with ${quote(options.schedule)}`,
    );
  }
  return sampling;
}

/** The sampling options that are given, and the preset's others. Each is read once, wherever it is defined. */
function withDefaults(given: SamplingOptions, preset: Preset): SamplingOptions {
  const names = Object.keys(samplingNames) as (keyof SamplingOptions)[];
  const own = Object.fromEntries(names.map((name) => [name, given[name]]));
  const defaults = own.steps === undefined ? preset : { ...preset, schedule: sharedSteps(preset.schedule) };
  return {
    ...own,
    ...Object.fromEntries(Object.entries(defaults).filter(([name]) => own[name] === undefined)),
  };
}

/** The schedule of a preset whose blocks share the `steps` that are given, whatever their own number is. */
function sharedSteps(schedule: Schedule | undefined): Schedule | undefined {
  if (typeof schedule !== 'object' || schedule.type !== 'blocks') return schedule;
  const { steps: _, ...shared } = schedule;
  return shared;
}

function readEditing(editing: Editing | null): Required<Editing> | null {
  if (editing === null) return null;
  const { threshold, maxPostSteps = 16 } = optionsObject('editing', editing, {
    threshold: true,
    maxPostSteps: true,
  });
  return {
    threshold: numberOption('editing.threshold', threshold, 0, 1),
    maxPostSteps: integerOption('editing.maxPostSteps', maxPostSteps, 0, 2 ** 31 - 1),
  };
}

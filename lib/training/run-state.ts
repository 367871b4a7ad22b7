import { isDeepStrictEqual } from 'node:util';
import { RND1Error } from '../support/errors';
import { quote } from '../support/validate';
import type { NoiseState } from './noise-scale';
import type { RunOptions } from './train-options';

/** How far a run is. */
export interface RunProgress {
  /** Steps that are done, those with gradients that were not finite included. */
  step: number;
  /** Tokens of their canvases. */
  tokens: number;
  /** Steps in a row whose gradients were not finite. */
  skipped: number;
  /** Averages for the noise scale. */
  noise: NoiseState;
  /** After how many steps the last evaluation was; −1: there was none. */
  evaluated: number;
  /** The lowest evaluation loss so far. */
  best: { readonly loss: number; readonly step: number } | null;
}

/** What a checkpoint keeps of its run: plain JSON. */
export interface RunState extends RunProgress {
  readonly options: RunOptions;
  /** `DataSet.fingerprint` of the data, and of those for evaluation. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly evaluationData: Readonly<Record<string, unknown>> | null;
  readonly instructionSet: string;
  /** Version of this package. */
  readonly version: string;
}

/**
 * The state in a checkpoint.
 *
 * @throws RND1Error `invalid_checkpoint` if it has none
 */
export function readRunState(saved: Readonly<Record<string, unknown>> | null, folder: string): RunState {
  const { step, tokens, skipped, options, data } = saved ?? {};
  const whole = [step, tokens, skipped].every(
    (count) => Number.isSafeInteger(count) && (count as number) >= 0,
  );
  if (!whole || typeof options !== 'object' || typeof data !== 'object')
    throw new RND1Error('invalid_checkpoint', `${folder} is no checkpoint of a run: train cannot resume it`);
  return saved as unknown as RunState;
}

/** Options that may differ after a resume: where things are, and how long it takes. */
const harmless: ReadonlySet<string> = new Set(['model', 'data', 'cache', 'evaluation']);

/**
 * The names of options and data that differ from those of the checkpoint, each with both values: numbers would depend on
 * them.
 */
export function changesSince(
  saved: RunState,
  options: RunOptions,
  data: RunState['data'],
  evaluationData: RunState['evaluationData'],
): string[] {
  const names = Object.keys(options) as (keyof RunOptions)[];
  const changed = names
    .filter((name) => !harmless.has(name))
    // A constant rate does not depend on the number of steps.
    .filter((name) => name !== 'steps' || options.schedule.kind !== 'constant')
    .filter((name) => !isDeepStrictEqual(plain(options[name]), plain(saved.options[name])))
    .map((name) => `${name} was ${quote(saved.options[name])}, and is ${quote(options[name])}`);
  return [
    ...changed,
    ...differences('data', saved.data, data),
    ...differences('evaluation.data', saved.evaluationData ?? {}, evaluationData ?? {}),
  ];
}

function differences(
  name: string,
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
): string[] {
  if (isDeepStrictEqual(plain(before), plain(now))) return [];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  const key = keys.find((each) => !isDeepStrictEqual(plain(before[each]), plain(now[each]))) as string;
  return [`${name} differs in ${key}: ${quote(before[key])} before, ${quote(now[key])} now`];
}

/** As it comes back from JSON. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

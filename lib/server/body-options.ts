import type { Counts, SamplingOptions, Schedule } from '../api/types';
import { presetOf } from '../denoising/run';
import { readSeed } from '../denoising/sampling-options';
import type { DiffusionLM } from '../diffusion-lm';
import { isCausal } from '../families/traits';
import { asFieldError } from './errors';
import type { SamplingBody } from './schemas';

/** A seed in JSON: a string if it is beyond 2^53. */
export function seedJSON(seed: bigint): number | string {
  return seed <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(seed) : String(seed);
}

/** The seed of a request, or a random one, as the 64 bits that the library uses. */
export function seedOf({ seed }: SamplingBody): bigint {
  try {
    return readSeed(seed === undefined || seed === null ? undefined : BigInt(seed));
  } catch (error) {
    throw asFieldError(error);
  }
}

/** The sampling options of a request. */
export function samplingOf(body: SamplingBody, seed: bigint, signal: AbortSignal): SamplingOptions {
  return {
    steps: set(body.steps),
    schedule: scheduleOf(body.schedule ?? undefined),
    temperature: set(body.temperature),
    topK: set(body.top_k),
    topP: set(body.top_p),
    counts: body.counts === 'linear' ? { type: 'linear' } : (set(body.counts) as Counts | undefined),
    algTemp: set(body.alg_temp),
    cfgScale: set(body.cfg_scale),
    suppressEos: set(body.suppress_eos),
    zeroEosConfidence: set(body.zero_eos_confidence),
    editing: body.editing && {
      threshold: body.editing.threshold,
      maxPostSteps: set(body.editing.max_post_steps),
    },
    cache: set(body.cache) as SamplingOptions['cache'],
    refresh: set(body.refresh),
    seed,
    initialFrame: true,
    signal,
  };
}

const set = <T>(value: T | null | undefined): T | undefined => value ?? undefined;

/** A schedule with the library's names of fields. */
export function scheduleOf(given: unknown): Schedule | undefined {
  if (typeof given !== 'object' || given === null) return given as Schedule | undefined;
  const { at_least, schedule, ...rest } = given as { at_least?: unknown; schedule?: unknown };
  return {
    ...rest,
    ...(at_least !== undefined && { atLeast: at_least }),
    ...(schedule !== undefined && { schedule: scheduleOf(schedule) }),
  } as Schedule;
}

/**
 * The library's `maxNewTokens` for `maxTokens` positions to fill. It also counts the reserved end slot or, without a
 * prompt, the token at the start.
 */
export function newTokens(
  maxTokens: number | null | undefined,
  prompted: boolean,
  model: DiffusionLM,
): number | undefined {
  if (maxTokens === undefined || maxTokens === null) return undefined;
  return maxTokens + (reservesEnd(model) || !prompted ? 1 : 0);
}

/** Whether the last slot of a canvas made of text is reserved. */
export function reservesEnd(model: DiffusionLM): boolean {
  const { tokens, architecture } = model.config;
  const reserves = presetOf(model.config).reserveEnd ?? true;
  return reserves && tokens.eosTokenIds.length > 0 && !isCausal(architecture);
}

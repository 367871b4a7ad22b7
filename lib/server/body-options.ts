import type { SamplingOptions, Schedule } from '../api/types';
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
  const set = <T>(value: T | null | undefined): T | undefined => value ?? undefined;
  return {
    steps: set(body.steps),
    schedule: set(body.schedule) as Schedule | undefined,
    temperature: set(body.temperature),
    topK: set(body.top_k),
    topP: set(body.top_p),
    seed,
    initialFrame: true,
    signal,
  };
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

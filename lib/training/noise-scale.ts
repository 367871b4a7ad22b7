import type { NoiseScale } from './events';
import type { ParameterGroup } from './trainer-types';

/** Averages of a gradient's signal |G|² and noise tr Σ, as plain JSON. */
export interface NoiseAverages {
  readonly signal: number;
  readonly noise: number;
}

/** Averages by group, and of all parameters (`all`). */
export type NoiseState = Readonly<Record<string, NoiseAverages>>;

/** Squared norms of one group's gradients: of the parts of a step that add up to its gradient, and of that. */
export interface GroupNorms {
  readonly parts: readonly number[];
  readonly whole: number;
}

/** Weight of the past in the averages. */
const memory = 0.95;

/**
 * The averages after one more step. The parts' gradients are those of `parts.length` equally large micro-batches of b
 * canvases, each divided by their number. With q = mean |g_k|², Q = |mean g_k|² and B = K b:
 * |G|² = (B Q − b q) / (B − b), tr Σ = (q − Q) / (1/b − 1/B) (McCandlish et al. 2018, appendix A).
 */
export function nextNoise(
  state: NoiseState,
  norms: Readonly<Record<string, GroupNorms>>,
  canvases: number,
): NoiseState {
  return Object.fromEntries(
    Object.entries(norms).map(([group, { parts, whole }]) => {
      const count = parts.length;
      const large = count * canvases;
      const mean = (parts.reduce((sum, each) => sum + each, 0) / count) * count ** 2;
      const signal = (large * whole - canvases * mean) / (large - canvases);
      const noise = (mean - whole) / (1 / canvases - 1 / large);
      const past = state[group];
      const average = (before: number | undefined, now: number) =>
        before === undefined ? now : memory * before + (1 - memory) * now;
      return [group, { signal: average(past?.signal, signal), noise: average(past?.noise, noise) }];
    }),
  );
}

/** The noise scale that the averages say; both are averaged before they are divided, which a mean of ratios is not. */
export function noiseScaleOf(
  state: NoiseState,
  { tokens, scored }: { readonly tokens: number; readonly scored: number },
): NoiseScale {
  const scale = (averages: NoiseAverages | undefined) =>
    averages === undefined || !(averages.signal > 0) || !(averages.noise > 0)
      ? null
      : averages.noise / averages.signal;
  const { all, ...groups } = state;
  const canvases = scale(all);
  const times = (factor: number) => (canvases === null ? null : canvases * factor);
  return {
    canvases,
    tokens: times(tokens),
    scored: times(scored),
    groups: Object.fromEntries(
      Object.entries(groups).map(([group, averages]) => [group as ParameterGroup, scale(averages)]),
    ),
  };
}

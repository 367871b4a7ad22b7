import type { ForwardOutput } from '../../lib';
import type { GoldenArrays } from './goldens';
import { maxAbsoluteError } from './tolerance';

/** The reference's own f32 error of each array, against float64. */
export type ErrorScales = Readonly<Record<string, { readonly max_abs: number; readonly max_value: number }>>;

/** The float arrays of a whole pass, by their golden names. `expertLayers`: the layers that have experts, ascending. */
export function floatsOf(
  { logits, hidden, routing }: ForwardOutput,
  expertLayers: readonly number[],
): Map<string, Float32Array> {
  if (hidden === undefined) throw new Error('there are no hidden states');
  const found = new Map([
    ['logits', logits],
    ['hidden.embed', hidden.embed],
    ['hidden.final_norm', hidden.finalNorm],
  ]);
  for (const [layer, rows] of hidden.layers.entries()) found.set(`hidden.layer${layer}`, rows);
  for (const [index, { logits, expertWeights }] of (routing ?? []).entries()) {
    found.set(`router_logits.layer${expertLayers[index]}`, logits);
    found.set(`topk_weights.layer${expertLayers[index]}`, expertWeights);
  }
  return found;
}

/** Half a unit in the last place of an f32 near 1: a lower bound, because a recorded error may be small by chance. */
const rounding = 2 ** -24;

/**
 * Tolerance for f32: five times the reference's own error, which is zero if nothing is computed. Routing weights may be
 * off by half the error of router logits: the softmax passes on no more, and a row records few of them.
 */
function toleranceOf(scales: ErrorScales, array: string): number {
  const own = scales[array];
  if (own === undefined) throw new RangeError(`the golden data record no error scale for ${array}`);
  if (own.max_abs === 0) return 0;
  const logits = scales[array.replace('topk_weights', 'router_logits')]?.max_abs ?? 0;
  const carried = array.startsWith('topk_weights') ? logits / 2 : 0;
  return 5 * Math.max(own.max_abs, rounding * own.max_value, carried);
}

/** The arrays that are further off than they may be, each with its error and the tolerance. */
export function deviations(
  arrays: GoldenArrays,
  scales: ErrorScales,
  found: Iterable<readonly [string, Float32Array]>,
): string[] {
  return [...found].flatMap(([name, actual]) => {
    const error = maxAbsoluteError(actual, arrays.floats(name, true));
    const tolerance = toleranceOf(scales, name);
    return error <= tolerance ? [] : [`${name} is ${error} off, more than ${tolerance}`];
  });
}

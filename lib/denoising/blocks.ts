import { type Canvas, neededMask } from './canvas';
import type { BlockRule } from './schedule';

/** A part of the canvas that is filled before the next one begins. */
export interface Block {
  /** Its first position. */
  readonly start: number;
  /** The position after its last one. */
  readonly end: number;
  /** Number of positions that its rounds share. */
  readonly size: number;
  /** Rounds planned before it. */
  readonly before: number;
  /** Rounds planned for it, at least 1. */
  readonly rounds: number;
  /** Steps that it may take: its rounds and those that come on top. */
  readonly steps: number;
}

/** What the steps of a block are besides its rounds. */
interface StepsOfBlocks {
  /** Steps on top of the rounds. @default 0 */
  readonly postSteps?: number;
  /** Steps of a block at least. @default 1 */
  readonly leastSteps?: number;
}

type Span = Pick<Block, 'start' | 'end' | 'size'>;

/**
 * Cuts the positions to fill into blocks and gives each its rounds: those of `rule`, else shares of `steps` in proportion
 * to size, by largest remainders, the earlier block first, at least one each. With fewer steps than blocks every block
 * gets one round, so there are as many rounds as blocks; otherwise the shares add up to `steps`. 0 steps count as 1.
 */
export function planBlocks(
  { tokens, masked }: Pick<Canvas, 'tokens' | 'masked'>,
  steps: number,
  rule: BlockRule | null,
  { postSteps = 0, leastSteps = 1 }: StepsOfBlocks = {},
): Block[] {
  const first = masked[0];
  if (first === undefined) return [];
  const spans =
    rule?.from === 'canvas'
      ? canvasSpans(first, (masked.at(-1) as number) + 1, tokens.length, rule.length)
      : maskedSpans(masked, rule?.length ?? masked.length);
  const sizes = spans.map(({ size }) => size);
  const shares = rule?.steps ? sizes.map(() => rule.steps as number) : shareSteps(sizes, steps);
  let before = 0;
  return spans.map((span, i) => {
    const rounds = shares[i] as number;
    const own = { ...span, before, rounds, steps: Math.max(rounds + postSteps, leastSteps) };
    before += own.steps;
    return own;
  });
}

/** Blocks of `length` masked positions; the last one may be shorter. */
function maskedSpans(masked: Int32Array, length: number): Span[] {
  return Array.from({ length: Math.ceil(masked.length / length) }, (_, i) => {
    const own = masked.subarray(i * length, (i + 1) * length);
    return { start: own[0] as number, end: (own.at(-1) as number) + 1, size: own.length };
  });
}

/** Blocks of `length` positions of the canvas, from the one with the first masked position to the one with the last. */
function canvasSpans(first: number, end: number, canvas: number, length: number): Span[] {
  const before = Math.floor(first / length);
  return Array.from({ length: Math.ceil(end / length) - before }, (_, i) => {
    const start = (before + i) * length;
    return { start, end: Math.min(start + length, canvas), size: length };
  });
}

/** Sizes are equal except for a shorter last one, so only the last share can fall below 1. */
function shareSteps(sizes: readonly number[], wanted: number): number[] {
  const steps = Math.max(wanted, sizes.length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const quotas = sizes.map((size) => (steps * size) / total);
  const shares = quotas.map((quota) => Math.max(1, Math.floor(quota)));
  let rest = steps - shares.reduce((sum, share) => sum + share, 0);
  const need = (i: number) => (quotas[i] as number) - (shares[i] as number);
  const neediest = [...sizes.keys()].sort((a, b) => need(b) - need(a));
  for (const i of rest > 0 ? neediest : neediest.reverse()) {
    if (rest === 0) break;
    if (rest < 0 && shares[i] === 1) continue;
    shares[i] = (shares[i] as number) + Math.sign(rest);
    rest -= Math.sign(rest);
  }
  return shares;
}

/** The canvas with masked positions added at its end, so that its last block is whole, if blocks are counted from position 0. */
export function wholeBlocks(canvas: Canvas, rule: BlockRule | null, maxPositions: number): Canvas {
  const { tokens, masked, special } = canvas;
  if (rule?.from !== 'canvas' || masked.at(-1) !== tokens.length - 1) return canvas;
  const length = Math.min(Math.ceil(tokens.length / rule.length) * rule.length, maxPositions);
  if (length === tokens.length) return canvas;
  const added = Int32Array.from({ length: length - tokens.length }, (_, i) => tokens.length + i);
  const whole = new Int32Array(length).fill(neededMask(special));
  whole.set(tokens);
  return { ...canvas, tokens: whole, masked: Int32Array.from([...masked, ...added]), kept: tokens.length };
}

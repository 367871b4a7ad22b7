import type { DiffusionLM, LoadOptions, TokenFrame, TokenOptions } from '../../lib';
import { type Checkpoint, openFamily } from '../support/families';
import { closeModels } from '../support/models';
import { random } from '../support/random';

afterAll(closeModels);

/** Draws calls on texts that begin like earlier ones. */
class Calls {
  readonly #random: () => number;
  /** What was given or written. */
  readonly #texts: number[][] = [[17, 230, 5]];

  constructor(
    seed: number,
    private readonly causal: boolean,
  ) {
    this.#random = random(seed);
  }

  below = (count: number): number => Math.floor(this.#random() * count);
  chance = (share: number): boolean => this.#random() < share;
  oneOf = <T>(values: readonly T[]): T => values[this.below(values.length)] as T;

  remember(tokens: Iterable<number>): void {
    this.#texts.push([...tokens]);
    if (this.#texts.length > 12) this.#texts.splice(this.below(12), 1);
  }

  /** Tokens of a few kinds, so that texts meet again after they have parted. */
  #tokens = (count: number): number[] => Array.from({ length: count }, () => 40 + this.below(2));

  #beginning(): number[] {
    const text = this.oneOf(this.#texts);
    const kept = text.slice(0, this.chance(0.5) ? text.length : 1 + this.below(text.length));
    if (this.chance(0.3)) kept[this.below(kept.length)] = 40;
    return [...kept, ...this.#tokens(this.below(20))].slice(0, 150);
  }

  next(): TokenOptions {
    const common = { seed: this.below(3), temperature: this.oneOf([0, 1]), stopAtEos: this.chance(0.5) };
    if (this.causal) return { ...common, prefix: this.#beginning(), maxNewTokens: 1 + this.below(24) };
    const schedule = this.oneOf<TokenOptions>([
      { schedule: { type: 'blocks', length: 8, from: 'canvas', window: 'block', steps: 2 } },
      { schedule: { type: 'blocks', length: 32, from: 'canvas', window: 'block', steps: 3 } },
      { schedule: { type: 'blocks', length: 12, window: 'block' }, steps: 6 },
      { schedule: { type: 'blocks', length: 8, steps: 2 } },
      { schedule: 'confidence', steps: 4 },
    ]);
    const rest = this.oneOf<TokenOptions>([{}, {}, { remask: true }, { idleSteps: 'run' }]);
    const options = { ...common, ...schedule, ...rest };
    const canvas = this.#beginning();
    if (this.chance(0.5)) return { ...options, prefix: canvas, maxNewTokens: 1 + this.below(60) };
    const masked = [...canvas.keys()].filter(() => this.chance(0.2));
    return { ...options, canvas, masked: masked.length === 0 ? [0] : masked };
  }
}

type Outcome = { readonly frames: readonly TokenFrame[]; readonly end: unknown };

/** Runs a call: to its end, or until it is left or aborted at its frame number `leave`. */
async function run(
  model: DiffusionLM,
  options: TokenOptions,
  leave: { readonly after: number; readonly how: 'return' | 'abort' | 'abort later' } | null,
): Promise<Outcome> {
  const controller = new AbortController();
  const frames: TokenFrame[] = [];
  const generator = model.denoiseTokens({ ...options, signal: controller.signal });
  try {
    for (;;) {
      if (leave?.after === frames.length) {
        if (leave.how === 'abort') controller.abort('enough');
        if (leave.how === 'abort later') setImmediate(() => controller.abort('enough'));
        if (leave.how === 'return') {
          await generator.return(undefined as never);
          return { frames, end: 'left' };
        }
      }
      const next = await generator.next();
      if (next.done) return { frames, end: next.value };
      frames.push(next.value);
    }
  } catch (error) {
    if (error !== 'enough') throw error;
    return { frames, end: 'aborted' };
  }
}

test.each<[Checkpoint, number, LoadOptions]>([
  ['tiny-llada2', 1, { maxCacheBytes: 50_000_000 }],
  ['tiny-llada2', 2, { maxCacheBytes: 1_500_000 }],
  ['tiny-qwen3', 3, { maxCacheBytes: 50_000_000 }],
  ['tiny-qwen3-moe', 4, { maxCacheBytes: 1_500_000 }],
])('%s, seed %i, %j: answers are those without caches', async (checkpoint, seed, load) => {
  const model = await openFamily(checkpoint, load);
  const calls = new Calls(seed, checkpoint !== 'tiny-llada2');
  let most = 0;
  for (let round = 0; round < 40; round++) {
    const together = Array.from({ length: calls.oneOf([1, 1, 2, 3]) }, () => ({
      options: calls.next(),
      leave: calls.chance(0.3)
        ? { after: calls.below(4), how: calls.oneOf(['return', 'abort', 'abort later'] as const) }
        : null,
    }));
    const outcomes = await Promise.all(together.map(({ options, leave }) => run(model, options, leave)));
    for (const [i, { frames, end }] of outcomes.entries()) {
      const { options } = together[i] as (typeof together)[number];
      const plain = await run(model, { ...options, cache: false }, null);
      expect(frames).toEqual(plain.frames.slice(0, frames.length));
      if (typeof end === 'object') expect(end).toEqual(plain.end);
      calls.remember(frames.at(-1)?.tokens ?? [17, 230]);
    }
    most = Math.max(most, model.cacheBytes);
  }
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(model.info.maxCacheBytes);
});

test('what a text has computed serves no text that has left it earlier', async () => {
  const model = await openFamily('tiny-qwen3', { maxCacheBytes: 50_000_000 });
  const start = Array.from({ length: 20 }, (_, i) => 60 + i);
  const rest = [42, 43, 44, 45];
  const write = (prefix: readonly number[], cache?: false) =>
    run(
      model,
      { prefix, maxNewTokens: 2, stopAtEos: false, seed: 1, ...(cache === false && { cache }) },
      null,
    );
  await write([...start, 40, 41, ...rest]);
  // Parts with the first text, and ends before the positions that `rest` has there.
  const { frames } = await write([...start, 50]);
  const prefix = [...(frames[0]?.tokens.subarray(0, 22) ?? []), ...rest];
  expect(await write(prefix)).toEqual(await write(prefix, false));
});

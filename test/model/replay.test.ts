import { scoreAndUnmask, type TokenFrame, type UnmaskRequest } from '../../lib';
import { buildCanvas } from '../../lib/denoising/canvas';
import { denoise } from '../../lib/denoising/loop';
import { tokenRun } from '../../lib/denoising/run';
import { readSampling } from '../../lib/denoising/sampling-options';
import { GoldenArrays, readGolden, type WithArrays } from '../support/goldens';
import { commitsOf, expectFrame, expectScores, forwardsOf, toleranceOf } from '../support/rounds';
import { optionsOf, roundsOf, scoringOf, type Trace } from '../support/traces';

interface Replay extends Trace, WithArrays {
  /** The canvases for which there are logits. */
  readonly states: readonly (readonly number[])[];
}

/** A model that is a table: the logits of the canvases that the reference visited. */
class LogitsTable {
  readonly vocabulary: number;
  readonly #logits: Float32Array;
  readonly #indices: ReadonlyMap<string, number>;

  constructor(name: string, replay: Replay) {
    const arrays = new GoldenArrays(`replay/${name}.json`, replay);
    this.vocabulary = arrays.shape('logits')[2] as number;
    this.#logits = Float32Array.from(arrays.floats('logits'));
    this.#indices = new Map(replay.states.map((tokens, index) => [tokens.join(), index]));
  }

  forward(tokens: ArrayLike<number>): Float32Array {
    const index = this.#indices.get(Array.from(tokens).join());
    if (index === undefined) throw new RangeError(`the reference never came to ${Array.from(tokens).join()}`);
    const size = tokens.length * this.vocabulary;
    return this.#logits.slice(index * size, (index + 1) * size);
  }
}

const replays = readGolden<{ name: string }[]>('replay/index.json').map(({ name }) => {
  const replay = readGolden<Replay>(`replay/${name}.json`);
  return { name, replay, table: new LogitsTable(name, replay) };
});
const defined = replays.filter(({ replay }) => replay.order === 'defined');
const undefinedOrder = replays.filter(({ replay }) => replay.order === 'undefined');

interface StepInput {
  readonly tokens: ArrayLike<number>;
  readonly masked: ArrayLike<number>;
}

type Limit = NonNullable<UnmaskRequest['limit']>;

/** Scores and unmasks a canvas that the reference visited. */
function unmask(replay: Replay, table: LogitsTable, canvas: StepInput, limit: Limit) {
  return scoreAndUnmask(table.forward(canvas.tokens), {
    ...scoringOf(replay),
    // The prefix has ids outside the smallest table; of the fixed tokens only position 0's affects the scores.
    tokens: Int32Array.from(canvas.tokens, (token) => Math.min(token, table.vocabulary - 1)),
    masked: Int32Array.from(canvas.masked),
    order: replay.resolved.eb_gamma === null ? 'entropy' : 'confidence',
    limit,
  });
}

/** Our canvas, our loop and our selection on the reference's logits. */
async function replayed(replay: Replay, table: LogitsTable) {
  const options = optionsOf(replay);
  const special = { mask: null, eos: [], pad: null, bos: null };
  const model = {
    vocabulary: 24,
    maxPositions: 64,
    maxNewTokens: 64,
    special,
    ends: [],
    reserveEnd: true,
    causal: false,
  };
  const canvas = buildCanvas(options, model);
  const sampling = { ...readSampling(options), steps: options.steps as number };
  const frames: TokenFrame[] = [];
  const run = {
    ...tokenRun(canvas, { sampling, cache: null }, {}, model),
    sampling,
    attentionBlock: 0,
    modelShift: 1 as const,
  };
  const loop = denoise(run, async ({ tokens, masked, plan }) => {
    expect(plan).toMatchObject({ eligible: null, greedy: true });
    const limit = { [plan.limit]: plan.value } as unknown as Limit;
    return { ...(await unmask(replay, table, { tokens, masked }, limit)), notFinite: false };
  });
  for await (const frame of loop) frames.push(frame);
  return { canvas, frames };
}

describe('replays whose order is defined', () => {
  it.each(defined)('$name', async ({ replay, table }) => {
    const { canvas, frames } = await replayed(replay, table);
    expect([...canvas.tokens]).toEqual(replay.initial_tokens);
    expect([...canvas.masked]).toEqual(replay.initial_masked);

    const rounds = roundsOf(replay);
    const expected = commitsOf(rounds, replay);
    const actual = commitsOf(frames, replay);
    expect(actual.map(({ step, positions }) => [step, positions])).toEqual(
      expected.map(({ step, positions }) => [step, positions]),
    );
    actual.forEach((frame, i) => {
      expectFrame(frame, expected[i] as (typeof expected)[number], toleranceOf(replay, 0));
    });
    expect([...(frames.at(-1) as TokenFrame).tokens]).toEqual(replay.tokens);
    if (!replay.position0_step_undefined) expect(frames.at(-1)?.forwards).toBe(forwardsOf(rounds));
  });
});

describe('replays whose order ties or NaN decided', () => {
  it.each(undefinedOrder)('$name, each round on its own', async ({ replay, table }) => {
    const gamma = replay.resolved.eb_gamma;
    for (const round of roundsOf(replay)) {
      const bounded = gamma !== null && round.keep === undefined;
      const limit = bounded ? { gamma } : { keep: round.keep as number };
      const scores = await unmask(replay, table, { tokens: round.tokens, masked: round.masked }, limit);
      expectScores(scores, round, toleranceOf(replay, 0));
      const nan = round.entropy.some(Number.isNaN);
      if (bounded && nan) expect(scores.committed.length).toBeGreaterThan(0);
      else expect(scores.committed).toHaveLength(round.committed.length);
    }
  });

  it('ties go to the lower position', async () => {
    const { replay, table } = undefinedOrder.find(
      ({ name }) => name === 'row-ties-default',
    ) as (typeof replays)[number];
    let ties = 0;
    for (const round of roundsOf(replay)) {
      const limit = { keep: round.keep as number };
      const { committed, entropy } = await unmask(
        replay,
        table,
        { tokens: round.tokens, masked: round.masked },
        limit,
      );
      const entropyAt = (position: number) => entropy[round.masked.indexOf(position)] as number;
      const kept = round.masked.filter((position) => !committed.includes(position));
      for (const first of committed) {
        for (const second of kept) {
          expect(entropyAt(first)).toBeLessThanOrEqual(entropyAt(second));
          if (entropyAt(first) === entropyAt(second)) {
            ties++;
            expect(first).toBeLessThan(second);
          }
        }
      }
    }
    expect(ties).toBeGreaterThan(0);
  });
});

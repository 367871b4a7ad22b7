import { type DiffusionLM, scoreAndUnmask, type TokenFrame } from '../../lib';
import { readGolden } from '../support/goldens';
import { closeModels, openModel } from '../support/models';
import { commitsOf, expectFrame, expectScores, forwardsOf, toleranceOf } from '../support/rounds';
import { layoutOf, optionsOf, roundsOf, scoringOf, type Trace } from '../support/traces';

/** Twice the largest logit error recorded by golden forward passes of comparable length. */
const logitError = 2e-4;

const traces = readGolden<{ name: string }[]>('sampling/index.json').map(({ name }) => {
  const trace = readGolden<Trace>(`sampling/${name}.json`);
  return { name, layout: layoutOf(trace), trace };
});
const defined = traces.filter(({ trace }) => trace.order === 'defined');
const undefinedOrder = traces.filter(({ trace }) => trace.order === 'undefined');

async function framesOf(model: DiffusionLM, trace: Trace): Promise<TokenFrame[]> {
  const frames: TokenFrame[] = [];
  for await (const frame of model.denoiseTokens(optionsOf(trace))) frames.push(frame);
  return frames;
}

afterAll(closeModels);

describe('traces whose order is defined', () => {
  it('cover every way of laying out a canvas', () => {
    expect(defined.length).toBeGreaterThanOrEqual(40);
    expect(new Set(defined.map(({ layout }) => layout))).toEqual(
      new Set(['maxNewTokens', 'length', 'canvas']),
    );
  });

  it.each(defined)('$name, round by round, by $layout', async ({ trace }) => {
    const model = await openModel(trace);
    const frames = await framesOf(model, trace);
    const rounds = roundsOf(trace);
    const expected = commitsOf(rounds, trace);
    const actual = commitsOf(frames, trace);

    expect(actual.map(({ step, positions }) => [step, positions])).toEqual(
      expected.map(({ step, positions }) => [step, positions]),
    );
    actual.forEach((frame, i) => {
      expectFrame(frame, expected[i] as (typeof expected)[number], toleranceOf(trace, logitError));
    });
    if (rounds.length > 0) {
      expect(rounds[0]?.tokens).toEqual(trace.initial_tokens);
      expect(rounds[0]?.masked).toEqual(trace.initial_masked);
      expect([...(frames.at(-1) as TokenFrame).tokens]).toEqual(trace.tokens);
      if (!trace.position0_step_undefined) expect(frames.at(-1)?.forwards).toBe(forwardsOf(rounds));
    }
  });

  it('end in the same tokens when all of them run at once', async () => {
    const results = await Promise.all(
      defined.map(async ({ trace }) => (await openModel(trace)).generateTokens(optionsOf(trace))),
    );
    results.forEach(({ tokens, positions, finishReason }, i) => {
      const { name, trace } = defined[i] as (typeof defined)[number];
      expect({ name, tokens: [...tokens], positions: [...positions], finishReason }).toEqual({
        name,
        tokens: trace.tokens,
        positions: trace.initial_masked,
        finishReason: 'length',
      });
    });
  });
});

describe('traces whose order rounding, ties or NaN decided', () => {
  it.each(undefinedOrder)('$name, each round on its own', async ({ trace }) => {
    const model = await openModel(trace);
    const gamma = trace.resolved.eb_gamma;
    const rounds = roundsOf(trace);
    const distinct = rounds.filter(({ tokens }, i) => tokens !== rounds[i - 1]?.tokens);
    expect(distinct.length).toBeGreaterThan(0);
    for (const round of distinct) {
      const { logits } = await model.forward(round.tokens);
      const result = await scoreAndUnmask(logits, {
        ...scoringOf(trace),
        tokens: round.tokens,
        masked: round.masked,
        order: gamma === null ? 'entropy' : 'confidence',
        limit: gamma === null || round.keep === 0 ? { keep: round.keep ?? 0 } : { gamma },
      });
      expectScores(result, round, toleranceOf(trace, logitError));
      // If the reference compares NaN with the bound, it commits nothing; that is not reproduced.
      if (gamma !== null && round.keep !== 0 && round.entropy.some(Number.isNaN)) continue;
      const ignored = trace.position0_step_undefined ? 0 : -1;
      const counted = (positions: ArrayLike<number>) =>
        Array.from(positions).filter((p) => p !== ignored).length;
      expect(counted(result.committed)).toBe(counted(round.committed));
    }
  });

  it.each(undefinedOrder)('$name commits as many per round as the reference', async ({ trace }) => {
    const model = await openModel(trace);
    const frames = await framesOf(model, trace);
    const expected = roundsOf(trace).filter(({ committed }) => committed.length > 0);
    expect(frames[0]?.tokens.length).toBe(trace.initial_tokens.length);
    expect(frames.flatMap(({ committed }) => [...committed]).sort((a, b) => a - b)).toEqual(
      trace.initial_masked,
    );
    if (trace.resolved.eb_gamma === null) {
      expect(frames.map(({ step, committed }) => [step, committed.length])).toEqual(
        expected.map(({ step, committed }) => [step, committed.length]),
      );
    }
  });
});

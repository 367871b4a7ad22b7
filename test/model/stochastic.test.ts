import { type DiffusionLM, scoreAndUnmask, type TokenFrame } from '../../lib';
import { GoldenArrays, readGolden, type WithArrays } from '../support/goldens';
import { closeModels, openModel } from '../support/models';
import { chiSquare, entropyOf } from '../support/statistics';

interface Combination {
  readonly name: string;
  readonly temperature: number;
  readonly top_k: number | null;
  readonly top_p: number | null;
  readonly probs: string;
}

interface OneToken extends WithArrays {
  readonly checkpoint: string;
  readonly prefix: readonly number[];
  readonly max_new_tokens: number;
  readonly num_diffusion_steps: number;
  readonly position: number;
  readonly combos: readonly Combination[];
}

const golden = readGolden<OneToken>('sampling/stochastic-one-token.json');
const arrays = new GoldenArrays('sampling/stochastic-one-token.json', golden);
const draws = 1000;

describe('one token drawn by the model follows the exact law', () => {
  let model: DiffusionLM;
  beforeAll(async () => {
    model = await openModel({ checkpoint: golden.checkpoint });
  });
  afterAll(closeModels);

  it.each(golden.combos)('$name, through whole calls', async ({ temperature, top_k, top_p, probs }) => {
    const results = await Promise.all(
      Array.from({ length: draws }, (_, seed) =>
        model.generateTokens({
          prefix: golden.prefix,
          maxNewTokens: golden.max_new_tokens,
          steps: golden.num_diffusion_steps,
          temperature,
          topK: top_k,
          topP: top_p,
          greedy: false,
          maskTokenId: 7,
          seed,
        }),
      ),
    );
    for (const { positions } of results) expect([...positions]).toEqual([golden.position]);
    const drawn = results.map(({ tokens }) => tokens[golden.position] as number);
    const { statistic, critical, freedom } = chiSquare(drawn, arrays.floats(probs));
    expect(freedom).toBeGreaterThan(0);
    expect(statistic).toBeLessThanOrEqual(critical);
  });

  it.each(golden.combos)('$name, through scoreAndUnmask', async ({ temperature, top_k, top_p, probs }) => {
    const tokens = [...golden.prefix, 7, 3];
    const { logits } = await model.forward(tokens);
    const law = arrays.floats(probs);
    const drawn: number[] = [];
    for (let round = 1; round <= 3 * draws; round++) {
      const { predicted, entropy, confidence } = await scoreAndUnmask(logits, {
        tokens,
        masked: [golden.position],
        temperature,
        topK: top_k,
        topP: top_p,
        greedy: false,
        seed: 7,
        round,
      });
      drawn.push(predicted[0] as number);
      expect(entropy[0]).toBeCloseTo(entropyOf(law), 3);
      expect(confidence[0]).toBeCloseTo(Math.log(law[predicted[0] as number] as number), 3);
    }
    const { statistic, critical } = chiSquare(drawn, law);
    expect(statistic).toBeLessThanOrEqual(critical);
  });
});

describe('a call that draws', () => {
  afterAll(closeModels);

  it.each([
    ['entropy', 4],
    ['entropy', 30],
    ['random', 6],
  ] as const)('with %s and %i steps can be recomputed round by round', async (order, steps) => {
    const model = await openModel({ checkpoint: golden.checkpoint });
    const scoring = { temperature: 1.2, topK: 40, greedy: false, seed: 2n ** 63n + 5n };
    const frames: TokenFrame[] = [];
    const options = { ...scoring, prefix: golden.prefix, maxNewTokens: 13, steps, schedule: order };
    for await (const frame of model.denoiseTokens({ ...options, maskTokenId: 7 })) frames.push(frame);
    expect(frames.length).toBeGreaterThan(2);

    let tokens = [...golden.prefix, ...new Array<number>(12).fill(7), 3];
    let masked = Array.from({ length: 12 }, (_, i) => golden.prefix.length + i);
    let before = 0;
    for (const frame of frames) {
      // The draw uses the number of the round after the last commit, whichever round commits it.
      const result = await scoreAndUnmask((await model.forward(tokens)).logits, {
        ...scoring,
        tokens,
        masked,
        order,
        limit: { keep: masked.length - frame.committed.length },
        round: before + 1,
      });
      expect([...result.predicted]).toEqual(masked.map((position) => frame.predicted[position]));
      expect(result.committed).toEqual(frame.committed);
      tokens = [...frame.tokens];
      masked = masked.filter((position) => frame.masked[position] === 1);
      before = frame.step;
    }
    expect(masked).toEqual([]);
  });

  it('gives the same tokens for the same seed and others for another', async () => {
    const model = await openModel({ checkpoint: golden.checkpoint });
    const options = { prefix: golden.prefix, maxNewTokens: 20, steps: 5, temperature: 1, maskTokenId: 7 };
    const first = await model.generateTokens({ ...options, seed: 1 });
    const again = await model.generateTokens({ ...options, seed: first.seed });
    const other = await model.generateTokens({ ...options, seed: 2 });
    expect(again.tokens).toEqual(first.tokens);
    expect(other.tokens).not.toEqual(first.tokens);
  });
});

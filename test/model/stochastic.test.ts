import { type RND1, scoreAndUnmask } from '../../lib';
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
  let model: RND1;
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

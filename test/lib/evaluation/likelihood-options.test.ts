import type { DiffusionLM } from '../../../lib';
import { estimateLikelihood, type LikelihoodOptions } from '../../../lib/evaluation';
import { openFamily } from '../../support/families';
import { closeModels, openModel } from '../../support/models';

afterAll(closeModels);

const prefix = [5, 6, 9];
const target = [11, 12, 13];

describe('a masked-diffusion model', () => {
  let model: DiffusionLM;
  beforeAll(async () => {
    model = await openModel({ checkpoint: 'tiny-moe' });
  });
  const estimate = (options: Partial<LikelihoodOptions> = {}) =>
    estimateLikelihood(model, { prefix, target, ...options });

  it.each(['llada', 'dream', 'stratified'] as const)(
    '%s is the same for the same seed',
    async (estimator) => {
      const [one, same, other] = await Promise.all([1, 1, 2].map((seed) => estimate({ estimator, seed })));
      expect(same).toEqual(one);
      expect(other?.value).not.toBe(one?.value);
      expect(one?.standardError).toBeGreaterThan(0);
    },
  );

  it('equal masks are computed once', async () => {
    const { passes, value, rounds } = await estimate({ target: [11], estimator: 'llada', samples: 32 });
    expect(passes).toBe(1);
    expect(rounds).toHaveLength(4);
    expect((await estimate({ target: [11], estimator: 'exact' })).value).toBeCloseTo(value, 12);
    expect((await estimate({ samples: 512 })).passes).toBe(7);
  });

  it('a round alone has no standard error', async () => {
    expect((await estimate({ samples: 8, batch: 8 })).standardError).toBeNull();
  });

  it('the estimate of no tokens is 0', async () => {
    expect(await estimate({ target: [] })).toEqual({ value: 0, standardError: 0, passes: 0, rounds: [] });
  });

  it('guidance doubles the passes', async () => {
    const plain = await estimate({ estimator: 'llada' });
    const guided = await estimate({ estimator: 'llada', guidance: 1 });
    expect(guided.passes).toBe(2 * plain.passes);
    expect(guided.value).not.toBe(plain.value);
  });

  it.each([
    [{ estimator: 'other' as 'llada' }, "estimator must be one of 'llada', "],
    [{ samples: 10, batch: 4 }, 'samples is 10, which is no multiple of batch, 4'],
    [{ guidance: 1 }, "guidance is 1, which only the estimator 'llada' has"],
    [{ part: 'both' as const }, "part is 'both', which only the estimator 'dream' has"],
    [{ target: [512_000] }, 'target[0] is 512000, but token ids are'],
    [{ prefix: [7] }, 'the prompt holds the mask token, 7, at position 0'],
    [{ suffix: [7] }, 'the prompt holds the mask token, 7, at position 6'],
    [
      { estimator: 'exact' as const, target: new Array(15).fill(1) },
      "estimator is 'exact', which takes 2^15 − 1 passes",
    ],
    [{ masks: [] }, 'masks must hold at least one round'],
    [{ masks: [[{ masked: [3] }]] }, 'masks[0][0].masked must be different positions from 0 to 2, not [ 3 ]'],
    [
      { masks: [[{ masked: [1, 1] }]] },
      'masks[0][0].masked must be different positions from 0 to 2, not [ 1, 1 ]',
    ],
    [{ masks: [[{ masked: [1], rate: 0 }]] }, 'masks[0][0].rate must be positive, not 0'],
    [{ seeds: 1 } as object, "options has no 'seeds'; did you mean 'seed'?"],
  ])('%j is an error', async (options, message) => {
    await expect(estimate(options)).rejects.toThrow(message);
  });

  it('ends when its signal aborts', async () => {
    const reason = new Error('enough');
    await expect(estimate({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('a causal model', () => {
  it('is scored by the chain rule, in one pass', async () => {
    const model = await openFamily('tiny-qwen3');
    const { vocabulary } = model.config.architecture;
    let expected = 0;
    for (const [i, token] of target.entries()) {
      // Nothing after a position has an effect: the sum of passes over ever longer texts is the same.
      const before = [...prefix, ...target.slice(0, i)];
      const { logits } = await model.forward(before, { positions: [before.length - 1] });
      const highest = Math.max(...logits);
      const sum = logits.reduce((total, each) => total + Math.exp(each - highest), 0);
      expected += (logits[token] as number) - highest - Math.log(sum);
      expect(logits).toHaveLength(vocabulary);
    }
    const { value, ...rest } = await estimateLikelihood(model, { prefix, target });
    expect(value).toBeCloseTo(expected, 4);
    expect(rest).toEqual({ standardError: 0, passes: 1, rounds: [] });
    await expect(estimateLikelihood(model, { prefix: [], target })).rejects.toThrow(
      'prefix must hold at least one token',
    );
    await expect(estimateLikelihood(model, { prefix, target, estimator: 'llada' })).rejects.toThrow(
      "estimator is 'llada', but likelihoods of a causal model are exact",
    );
  });
});

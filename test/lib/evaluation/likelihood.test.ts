import { join } from 'node:path';
import { estimateLikelihood, greedyContinuation, type LikelihoodOptions } from '../../../lib/evaluation';
import { goldenFolders, readJson } from '../../support/evaluation';
import {
  checkpointOf,
  type GoldenRun,
  likelihoodGoldens,
  masksOf,
  openGolden,
} from '../../support/likelihoods';
import { closeModels } from '../../support/models';

/** How far single precision may be from the recorded values; the reference's own is up to 4e-5 off. */
const tolerance = 2e-4;

const expectNear = (value: number, golden: number) =>
  expect(Math.abs(value - golden)).toBeLessThanOrEqual(tolerance);

interface Quirk extends Pick<GoldenRun, 'value_f64' | 'rounds'> {
  readonly what: string;
  readonly checkpoint: string;
  readonly mask_id: number;
  readonly prefix: readonly number[];
  readonly target: readonly number[];
}

interface GreedyGolden {
  readonly checkpoint: string;
  readonly mask_id: number;
  readonly cfg: number;
  readonly prefix: readonly number[];
  readonly states: readonly (readonly number[])[];
  readonly greedy: readonly number[];
}

const here = (checkpoint: string) => {
  const found = checkpointOf(checkpoint) !== undefined;
  if (!found) process.stderr.write(`SKIPPED: ${checkpoint}; set RND1_EVAL_CHECKPOINTS to its folder\n`);
  return found;
};

describe.each(goldenFolders())('likelihoods of models: $name', ({ folder }) => {
  afterAll(closeModels);
  const goldens = likelihoodGoldens(folder).filter(({ checkpoint }) => here(checkpoint));
  const read = <T>(name: string) => readJson<T>(join(folder, 'likelihood', name));

  it.each(goldens)('$name', async (golden) => {
    const { estimator, prefix, target, cfg = 0, mask_id, checkpoint, runs } = golden;
    const model = await openGolden(checkpoint, mask_id);
    const estimate = async (options: Partial<LikelihoodOptions>) =>
      (await estimateLikelihood(model, { prefix, target, ...options })).value;
    const guidance = cfg > 0 ? { guidance: cfg } : {};
    for (const { rounds, value_f32 } of runs)
      expectNear(await estimate({ estimator, masks: masksOf(rounds), ...guidance }), value_f32);
    if (golden.chain_rule_left_to_right !== undefined)
      expectNear(await estimate({ estimator: 'left-to-right' }), golden.chain_rule_left_to_right);
    if (golden.chain_rule_right_to_left !== undefined)
      expectNear(await estimate({ estimator: 'right-to-left' }), golden.chain_rule_right_to_left);
    if (cfg > 0) return;
    // The end of text is seen, and not scored.
    const seen = golden.eos_id === undefined ? {} : { target: target.slice(0, -1), suffix: target.slice(-1) };
    expectNear(await estimate({ estimator: 'exact', ...seen }), golden.exact);
  });

  it.each(
    read<Quirk[]>('quirks.json').filter(({ checkpoint = '' }) => checkpoint !== '' && here(checkpoint)),
  )('$what', async ({ what, checkpoint, mask_id, prefix, target, rounds, value_f64 }) => {
    const model = await openGolden(checkpoint, mask_id);
    const masks = masksOf(rounds);
    const mode = /log_type (btf|union)/.exec(what)?.[1];
    const options: LikelihoodOptions =
      mode === undefined
        ? { prefix, target, masks, estimator: 'llada', maskInPrompt: 'score' }
        : { prefix, target, masks, estimator: 'dream', part: mode === 'btf' ? 'prefix' : 'both' };
    expectNear((await estimateLikelihood(model, options)).value, value_f64);
  });

  it.each(read<GreedyGolden[]>('suffix-greedy.json').filter(({ checkpoint }) => here(checkpoint)))(
    'greedy continuation of $prefix with $checkpoint',
    async (golden) => {
      const { checkpoint, mask_id, cfg, prefix, states, greedy } = golden;
      const model = await openGolden(checkpoint, mask_id);
      const length = greedy.length;
      const guidance = cfg > 0 ? { guidance: cfg } : {};
      expect(await greedyContinuation(model, { prefix, length, ...guidance })).toEqual({
        tokens: greedy,
        states,
      });
    },
  );
});

import { join } from 'node:path';
import { estimateRounds } from '../../../lib/evaluation/likelihood/combine';
import { allMasks, drawMasks, lladaLevels } from '../../../lib/evaluation/likelihood/draws';
import { goldenFolders, readJson } from '../../support/evaluation';
import {
  type LikelihoodGolden,
  likelihoodGoldens,
  masksOf,
  scoredLength,
  tableSource,
} from '../../support/likelihoods';

/** Simulates an estimator on a golden's table. */
async function simulate(
  golden: LikelihoodGolden,
  estimator: 'llada' | 'dream' | 'stratified',
  batch: number,
) {
  const length = scoredLength(golden);
  const eligible = Array.from({ length }, (_, i) => i);
  const samples = 2000 * batch;
  const masks = drawMasks({ estimator, length, eligible, samples, batch, epsilon: 1e-3, seed: 2 });
  const { value, standardError } = await estimateRounds(masks, length, tableSource(golden));
  return { value, standardError: standardError as number };
}

describe.each(goldenFolders())('estimators on tables: $name', ({ folder }) => {
  const goldens = likelihoodGoldens(folder);
  const llada = goldens.filter(({ estimator }) => estimator === 'llada');

  it.each(goldens)('$name: recorded masks', async (golden) => {
    for (const { rounds, value_f64, value_from_table } of golden.runs) {
      const { value } = await estimateRounds(masksOf(rounds), scoredLength(golden), tableSource(golden));
      expect(Math.abs(value - value_f64)).toBeLessThanOrEqual(1e-5);
      expect(value).toBeCloseTo(value_from_table, 10);
    }
  });

  it.each(goldens)('$name: all sets of masks', async (golden) => {
    const rows = allMasks(scoredLength(golden));
    const { value } = await estimateRounds([rows], 1, tableSource(golden));
    expect(value * rows.length).toBeCloseTo(golden.exact, 9);
  });

  it('LLaDA’s levels', () => {
    const { rows } = readJson<{ rows: [number, number, number, number[], number][] }>(
      join(folder, 'likelihood', 'levels.json'),
    );
    expect(rows.length).toBeGreaterThan(1000);
    for (const [length, batch, first, levels] of rows)
      expect(lladaLevels(length, batch, first)).toEqual(levels);
  });

  it.each(llada)('$name: LLaDA’s expectation, bias included', (golden) => {
    const length = golden.target.length;
    const meanOf = (level: number) => {
      const sums = golden.table
        .filter(([positions]) => positions.length === level)
        .map(([, entropies]) => entropies.reduce((total, each) => total + each, 0));
      return (length / level) * (sums.reduce((total, each) => total + each, 0) / sums.length);
    };
    for (const { batch_size, expectation } of golden.runs) {
      const levels = Array.from({ length }, (_, i) => lladaLevels(length, batch_size, i + 1)).flat();
      const mean = levels.reduce((total, level) => total + meanOf(level), 0) / levels.length;
      expect(-mean).toBeCloseTo(expectation, 9);
    }
  });

  it.each(goldens)('$name: the mean over random masks', async (golden) => {
    const { estimator, exact, exact_eps_1e3 = exact, runs } = golden;
    const batch = 8;
    const own = await simulate(golden, estimator, batch);
    const expectation = runs.find(({ batch_size }) => batch_size === batch)?.expectation;
    const wanted = estimator === 'dream' ? exact_eps_1e3 : expectation;
    if (wanted !== undefined)
      expect(Math.abs(own.value - wanted)).toBeLessThanOrEqual(3 * own.standardError + 1e-9);
    const ours = await simulate(golden, 'stratified', batch);
    expect(Math.abs(ours.value - exact)).toBeLessThanOrEqual(3 * ours.standardError + 1e-9);
    // As many passes, and less variance.
    expect(ours.standardError).toBeLessThanOrEqual(own.standardError + 1e-9);
  });
});

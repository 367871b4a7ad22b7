import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { studyBatches } from '../../bench/studies/support/objectives';
import { factQuestions } from '../../bench/studies/support/questions';
import { root } from '../../scripts/command';
import { start } from '../lib/cli/rnd1';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-studies-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a study in a small way; the second time, it finds everything done. */
async function study(name: string) {
  const run = async () => {
    const args = ['tsx', `bench/studies/${name}.ts`, join(folder, name), '--seeds', '1', '--quick'];
    const { code, stderr, stdout } = await start('npx', args, { cwd: root });
    expect([code, stderr]).toEqual([0, '']);
    return { stdout, json: readFileSync(join(folder, name, `${name}.json`), 'utf8') };
  };
  const first = await run();
  const again = await run();
  const { commit, instructionSet, results } = JSON.parse(first.json);
  expect(JSON.parse(again.json)).toMatchObject({ commit, instructionSet, results });
  expect(again.stdout.length).toBeLessThanOrEqual(first.stdout.length);
  return results;
}

test('the study of forgetting runs', async () => {
  const [seed] = await study('forgetting');
  expect(seed.arms).toHaveLength(2);
  const share = expect.any(Number);
  expect(seed.arms[0]).toMatchObject({
    arm: '1e-3 : 1e-3',
    points: [
      { step: 2, lost: share },
      { step: 4, lost: share },
    ],
    again: [{ step: 0 }, { step: 2 }],
  });
  expect(seed.arms[0].points[1].loss).toBeGreaterThan(1);
}, 120_000);

test('the study of weight grids runs', async () => {
  const results = await study('weight-grids');
  expect(results).toMatchObject([
    { title: 'q4, attention in q8', bits: expect.any(Number), distances: [{}] },
    { title: 'q4m', bits: expect.any(Number), distances: [{}] },
  ]);
  for (const { bits, distances } of results) {
    expect(bits).toBeGreaterThan(4.5);
    expect(bits).toBeLessThan(5);
    expect(distances[0].kl).toBeGreaterThan(0);
    expect(distances[0].nmse).toBeLessThan(0.1);
  }
}, 120_000);

test('the study of batch sizes runs', async () => {
  const { noise, branches } = await study('batch-size');
  expect(noise.map(({ objective }: { objective: string }) => objective)).toEqual([
    'ar',
    'ar',
    ...['mean', 'elbo', 'elbo stratified', 'elbo complementary'],
    ...['mean', 'elbo', 'elbo stratified', 'elbo complementary'],
  ]);
  expect(Object.keys(noise[0].repeats[0]).sort()).toEqual(
    ['all', 'attention', 'embedding', 'head', 'mlp', 'norm', 'preconditioned', 'router'].sort(),
  );
  expect(branches).toHaveLength(4);
  expect(branches[0].losses.length).toBeGreaterThan(0);
}, 120_000);

test('questions about facts mask their digits', () => {
  const facts = ['abcd', 'efgh', 'ijkl', 'mnop'].map((key) => ({ key, value: '1234' }));
  const one = factQuestions(facts, 'one');
  expect(one.map(({ positions }) => [...positions])).toEqual([
    [5, 15, 25],
    [6, 16, 26],
    [7, 17, 27],
    [8, 18, 28],
  ]);
  const text = Buffer.from(one[0]?.tokens.slice(0, 30) ?? []).toString();
  expect(text).toBe('abcd 1234\nefgh 1234\nijkl 1234\n');
  expect(factQuestions(facts, 'all').map(({ positions }) => positions.length)).toEqual([12]);
});

test('complementary masks hide every token once', () => {
  const tokens = Int32Array.from({ length: 32 }, (_, i) => i);
  const canvases = Array.from({ length: 4 }, () => ({ tokens, prompt: 0 }));
  const { batches, scored } = studyBatches('elbo complementary', canvases, {
    first: 0,
    microBatch: 2,
    seed: 1n,
  });
  expect(scored).toBe(2 * 31);
  for (const { targets } of batches)
    expect([...targets].sort((a, b) => a - b)).toEqual([...tokens.subarray(1)]);
});

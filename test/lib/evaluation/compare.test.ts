import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareResults } from '../../../lib/evaluation';
import { signTest } from '../../../lib/evaluation/run/compare';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-compare-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const write = (name: string, samples: readonly object[]) => {
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, 'samples_t.jsonl'), samples.map((each) => `${JSON.stringify(each)}\n`).join(''));
  return path;
};
const sample = (doc_id: number, acc: number, prompt = 'p') => ({
  doc_id,
  filter: 'none',
  metrics: ['acc'],
  arguments: { gen_args_0: { arg_0: prompt } },
  acc,
});

test('pairs documents', async () => {
  const first = write('a', [sample(0, 0), sample(1, 1), sample(2, 0), sample(3, 1), sample(9, 1)]);
  const second = write('b', [sample(3, 1), sample(2, 1), sample(1, 0), sample(0, 1, 'q')]);
  const [pair] = await compareResults(first, second);
  expect(pair).toEqual({
    task: 't',
    metric: 'acc',
    filter: 'none',
    documents: 4,
    unpaired: 1,
    promptsDiffer: true,
    first: 0.5,
    second: 0.75,
    difference: 0.25,
    standardError: expect.closeTo(Math.sqrt(2.75 / 3 / 4)),
    better: 2,
    worse: 1,
    probability: 1,
  });
});

test('names what is wrong', async () => {
  const good = join(folder, 'a');
  await expect(compareResults(good, join(folder, 'missing'))).rejects.toThrow(/missing cannot be read/);
  await expect(compareResults(good, folder)).rejects.toThrow('have no samples of the same task');
  const noSample = write('c', [{ doc_id: 1 }]);
  await expect(compareResults(good, noSample)).rejects.toThrow(/samples_t\.jsonl, line 1: it is no sample/);
  const noNumber = write('d', [{ ...sample(0, 0), acc: '1' }]);
  await expect(compareResults(good, noNumber)).rejects.toThrow('a score is no number');
});

test.each([
  [0, 0, 1],
  [1, 0, 1],
  [5, 0, 0.0625],
  [8, 2, 0.109375],
  [3000, 2000, 0],
  [2500, 2500, 1],
])('%d better and %d worse have p = %d', (better, worse, p) => {
  expect(signTest(better, worse)).toBeCloseTo(p, 10);
  expect(signTest(worse, better)).toBeCloseTo(p, 10);
});

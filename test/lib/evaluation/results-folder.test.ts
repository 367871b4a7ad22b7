import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiffusionLM, type DiffusionLM as Model } from '../../../lib';
import { type AnsweredDocument, EvaluationFolder, evaluate } from '../../../lib/evaluation';

let model: Model;
let folder = '';
beforeAll(async () => {
  model = await DiffusionLM.load({ dtype: 'f32', threads: 2 });
  folder = mkdtempSync(join(tmpdir(), 'rnd1-results-'));
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true });
});

const sums = { tasks: ['nano_add'], limit: 6, generation: { steps: 4, maxNewTokens: 12 } } as const;
const config = { model: 'rnd1', gen_kwargs: { steps: 4 } };
let count = 0;
const fresh = () => join(folder, `results-${count++}`);
const open = (path: string, given: object = config) =>
  EvaluationFolder.open(path, given as Record<string, unknown>);

test('holds answers, results and samples', async () => {
  const path = fresh();
  const results = await open(path);
  const evaluated = await evaluate(model, { ...sums, onAnswer: (answer) => results.add(answer) });
  expect(existsSync(join(path, 'results.json'))).toBe(false);
  const written = await results.finish(evaluated);
  await results.close();
  expect(JSON.parse(readFileSync(join(path, 'results.json'), 'utf8'))).toEqual(
    JSON.parse(JSON.stringify(written)),
  );
  const lines = readFileSync(join(path, 'samples_nano_add.jsonl'), 'utf8').trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line).doc_id)).toEqual([0, 1, 2, 3, 4, 5]);

  const again = await open(path);
  expect(again.answered).toHaveLength(6);
  const added: unknown[] = [];
  const same = await evaluate(model, {
    ...sums,
    answered: again.answered,
    onAnswer: (answer) => void added.push(answer),
  });
  expect(added).toEqual([]);
  expect(same).toEqual(evaluated);
  await again.close();
});

test('drops a line that a crash has torn', async () => {
  const path = fresh();
  const results = await open(path);
  await evaluate(model, { ...sums, limit: 2, onAnswer: (answer) => results.add(answer) });
  await results.close();
  appendFileSync(join(path, 'answers.jsonl'), '{"task":"nano_add","docI');
  const again = await open(path);
  expect(again.answered).toHaveLength(2);
  await again.add(again.answered[0] as AnsweredDocument);
  await again.close();
  const third = await open(path);
  expect(third.answered).toHaveLength(3);
  await third.close();
});

test('is refused with other settings, with wrong lines, and while it is in use', async () => {
  const path = fresh();
  const results = await open(path);
  await expect(open(path)).rejects.toMatchObject({ code: 'io' });
  await results.close();
  await expect(open(path, { model: 'rnd1', gen_kwargs: { steps: 5 } })).rejects.toThrow(
    'gen_kwargs was {"steps":4} and is {"steps":5}',
  );
  writeFileSync(join(path, 'answers.jsonl'), '{"task": 1}\n');
  await expect(open(path)).rejects.toThrow(/answers\.jsonl, line 1: it is no answer/);
  // A refusal leaves no lock behind.
  rmSync(join(path, 'answers.jsonl'));
  await (await open(path)).close();
});

/**
 * Computes the answers and logits of models/nano/golden.json with the weights of a folder, and says what is other than
 * before. Greedy, temperature 1, f32 with the instructions that every processor has.
 *
 *     npx tsx models/nano-training/golden.ts FOLDER [--out FILE]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DiffusionLM, type Schedule } from '../../lib';
import type { GoldenLogits, GoldenText, NanoGolden } from './golden-file';

const path = resolve(__dirname, '..', 'nano', 'golden.json');

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { out: { type: 'string', default: path } },
  });
  const [folder] = positionals;
  if (folder === undefined)
    throw new TypeError('name a folder: npx tsx models/nano-training/golden.ts FOLDER');
  process.env.RND1_CPU = 'baseline';
  const before = JSON.parse(readFileSync(path, 'utf8')) as NanoGolden;
  await using model = await DiffusionLM.load({ model: folder, dtype: 'f32', device: 'cpu' });
  const generate: GoldenText[] = [];
  for (const call of before.generate) generate.push(await generated(model, call));
  const forward: GoldenLogits[] = [];
  for (const { tokens } of before.forward) forward.push(await forwarded(model, tokens));
  const golden: NanoGolden = {
    made_by: 'rnd1 (CPU, f32, baseline), greedy, temperature 1',
    generate,
    forward,
  };
  writeFileSync(values.out, `${JSON.stringify(golden, null, 1)}\n`);
  compare(before.generate, generate);
}

async function generated(model: DiffusionLM, call: GoldenText): Promise<GoldenText> {
  const { question, prompt, schedule: name, max_new_tokens, steps, eb_gamma } = call;
  const schedule: Schedule = eb_gamma === null ? 'entropy' : { type: 'entropy-bounded', gamma: eb_gamma };
  const settings = { maxNewTokens: max_new_tokens, steps, schedule };
  const prefix = [...Buffer.from(prompt)];
  const { tokens, forwards } = await model.generateTokens({
    ...settings,
    temperature: 1,
    greedy: true,
    prefix,
  });
  const { written } = await model.generate(question, settings);
  return {
    question,
    prompt,
    schedule: name,
    max_new_tokens,
    steps,
    eb_gamma,
    tokens: [...tokens],
    text: written.join(''),
    forwards,
  };
}

async function forwarded(model: DiffusionLM, tokens: readonly number[]): Promise<GoldenLogits> {
  const { logits, shape } = await model.forward(tokens);
  const rows = Array.from({ length: shape[0] }, (_, i) => logits.subarray(i * shape[1], (i + 1) * shape[1]));
  const best = rows.map((row) =>
    [...row.keys()].sort((a, b) => (row[b] as number) - (row[a] as number)).slice(0, 3),
  );
  return {
    tokens,
    top3_ids: best,
    top3_logits: best.map((ids, i) => ids.map((id) => rows[i]?.[id] as number)),
  };
}

function compare(before: readonly GoldenText[], after: readonly GoldenText[]): void {
  const changed = after.filter(({ text }, i) => text !== before[i]?.text);
  for (const { question, schedule, text } of changed) {
    const old = before.find((call) => call.question === question && call.schedule === schedule);
    console.log(`${question} (${schedule}): was ${JSON.stringify(old?.text)}, is ${JSON.stringify(text)}`);
  }
  const forwards = (calls: readonly GoldenText[]) => calls.reduce((sum, call) => sum + call.forwards, 0);
  console.log(
    `${after.length - changed.length} of ${after.length} answers are the same; forward passes in all: ${forwards(before)} before, ${forwards(after)} now`,
  );
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});

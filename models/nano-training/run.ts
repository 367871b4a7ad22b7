/**
 * Trains nano from nothing: random weights, autoregression, conversion, masked diffusion. Every part is skipped if it is
 * done, and resumed if it was interrupted.
 *
 *     npx tsx models/nano-training/run.ts FOLDER [--seed 1] [--canvases 400000] [--ar-steps 5000] [--steps 10000]
 *         [--last-steps 2000] [--cases 200]
 */
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { lastQuestionShares } from '../../lib/evaluation/nano/questions';
import { convert, initialize, type TrainOptions, train } from '../../lib/training';
import { measureAccuracy } from './accuracy';
import { causalConfig } from './config';
import { canvasLength, writeAnswers, writeTexts } from './data';

const nano = resolve(__dirname, '..', 'nano');
const evaluationCanvases = 512;

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: 'string', default: '1' },
      canvases: { type: 'string', default: '400000' },
      'ar-steps': { type: 'string', default: '5000' },
      steps: { type: 'string', default: '10000' },
      'last-steps': { type: 'string', default: '2000' },
      cases: { type: 'string', default: '200' },
    },
  });
  const [folder] = positionals;
  if (folder === undefined) throw new TypeError('name a folder: npx tsx models/nano-training/run.ts FOLDER');
  const count = (name: keyof typeof values) => {
    const value = Number(values[name]);
    if (!Number.isSafeInteger(value) || value < 1)
      throw new RangeError(`--${name} must be a positive integer`);
    return value;
  };
  const seed = count('seed');
  const place = (name: string) => join(folder, name);
  mkdirSync(folder, { recursive: true });

  const data = place('train.bin');
  const lastAnswers = place('last-answers.bin');
  const held = place('held-out.bin');
  const answers = place('answers.bin');
  if (!existsSync(data)) writeTexts(data, count('canvases'), seed);
  if (!existsSync(answers)) writeAnswers(answers, Math.ceil(count('canvases') / 2), 2 ** 29 + seed);
  if (!existsSync(lastAnswers)) {
    const canvases = Math.ceil((count('canvases') * 3) / 8);
    writeAnswers(lastAnswers, canvases, 2 ** 29 + seed + 76, lastQuestionShares);
  }
  if (!existsSync(held)) writeTexts(held, evaluationCanvases, 2 ** 30 + seed);

  if (!existsSync(place('start')))
    await initialize(place('start'), { config: causalConfig(), tokenizer: nano, seed });
  const common = {
    // Among texts alone, sums are too rare to be learned, and masked anywhere, they rarely say enough about their answers.
    data: [data, answers].map((file) => ({ file, weight: 1 })),
    seed,
    batch: 64,
    sequenceLength: canvasLength,
    evaluation: { data: held, every: 250, canvases: evaluationCanvases },
    saveEvery: 500,
    saveLimit: 2,
    logEvery: 10,
  } as const;
  const ar = await run(place('ar'), {
    ...common,
    model: place('start'),
    objective: 'ar',
    steps: count('ar-steps'),
    learningRate: 2e-3,
    schedule: { kind: 'wsd', warmup: 0.05, decay: 0.2 },
  });
  if (!existsSync(place('converted'))) await convert(ar, place('converted'));
  copyFileSync(join(nano, 'generation_config.json'), join(place('converted'), 'generation_config.json'));
  const scp = await run(place('scp'), {
    ...common,
    model: place('converted'),
    objective: 'mdlm',
    steps: count('steps'),
    learningRate: 2e-3,
    schedule: { kind: 'wsd', warmup: 0.02, decay: 0.25 },
    randomLength: 0,
  });
  const final = await run(place('last'), {
    ...common,
    model: scp,
    data: [data, lastAnswers].map((file) => ({ file, weight: 1 })),
    seed: seed + 1,
    objective: 'mdlm',
    steps: count('last-steps'),
    learningRate: 7e-4,
    schedule: { kind: 'wsd', warmup: 0.05, decay: 0.8 },
    randomLength: 0,
  });

  console.log('task,steps,right,cases');
  const table = await measureAccuracy(final, {
    cases: count('cases'),
    onRow: ({ task, steps, right, cases }) => console.log(`"${task}",${steps},${right},${cases}`),
  });
  writeFileSync(place('accuracy.json'), `${JSON.stringify(table, null, 2)}\n`);
}

/** Starts a run, or goes on with it; returns its last checkpoint. */
async function run(output: string, options: Omit<TrainOptions, 'output'>): Promise<string> {
  const events = existsSync(join(output, 'run.json'))
    ? train({ resume: output })
    : train({ ...options, output });
  let checkpoint = '';
  for await (const event of events) {
    if (event.type === 'evaluation')
      console.error(`${output}: step ${event.step}, ${event.loss.toFixed(4)} nats per token`);
    if (event.type === 'warning') console.error(`${output}: ${event.message}`);
    if (event.type === 'done') ({ checkpoint } = event);
  }
  return checkpoint;
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});

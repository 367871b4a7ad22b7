import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeTokens } from '../../training/runs';
import { jsonLines, nano, rnd1, root, scratchFolder } from './rnd1';

const scratch = scratchFolder();
const micro = join(root, 'test', 'fixtures', 'training', 'micro');
let fresh = 0;

const newPath = () => scratch(`run-${fresh++}`);
const small = ['--batch', '4', '--sequence-length', '16', '--lr', '3e-3', '--threads', '1'];

/** The weights of the newest checkpoint. */
function weightsOf(run: string): string {
  const name = readFileSync(join(run, 'latest'), 'utf8').trim();
  return readFileSync(join(run, name, 'model.safetensors')).toString('base64');
}

test('a causal model is converted, trained, and writes', async () => {
  const qwen = join(root, 'test', 'fixtures', 'families', 'tiny-qwen3-moe');
  const [start, run] = [newPath(), newPath()];
  const converted = await rnd1(['convert', qwen, start, '--mask-token-id', '383']);
  expect(converted).toMatchObject({ code: 0, stderr: '' });
  expect(converted.stdout).toMatch(
    /: Qwen3-MoE to RND1, .* linked\nmask token: 383, as given\nThe model must be trained/,
  );
  const data = writeTokens(scratch('qwen.bin'), 2000);
  const flags = ['--recipe', 'scp', '--steps', '20', '--eval-data', data, '--eval-every', '10', ...small];
  const { code, stdout, stderr } = await rnd1(['train', start, '--data', data, '-o', run, ...flags]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${run}/checkpoint-20: 20 steps\n` });
  expect(stderr).toMatch(/step 10: evaluation: [\d.]+ nats per token/);
  expect(stderr).toMatch(/step 20\/20 {2}loss [\d.]+ {2}[\d,]+ tokens\/s {2}lr /);
  const losses = readFileSync(join(run, 'metrics.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .flatMap((line) => JSON.parse(line).eval_loss ?? []);
  expect(losses).toHaveLength(3);
  expect(losses[2]).toBeLessThan(losses[0]);
  const written = await rnd1([
    'generate',
    '--model',
    join(run, 'checkpoint-20'),
    '--tokens',
    '5,6,7',
    '--max-new-tokens',
    '8',
  ]);
  expect(written).toMatchObject({ code: 0 });
  expect(written.stdout).not.toBe('');
});

test('texts train a new model', async () => {
  const [model, run] = [newPath(), newPath()];
  const sizes = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2 };
  writeFileSync(scratch('sizes.json'), JSON.stringify(sizes));
  const made = await rnd1(['init', model, '--config', scratch('sizes.json'), '--tokenizer', nano]);
  expect(made).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/: qwen3_moe, [\d,]+ parameters\n$/),
  });
  writeFileSync(scratch('a.jsonl'), `${JSON.stringify({ text: 'one two three four' })}\n`.repeat(40));
  const tokens = await rnd1([
    'tokenize',
    scratch('a.jsonl'),
    '--tokenizer',
    model,
    '--out',
    scratch('data/a'),
  ]);
  expect(tokens.stdout).toBe(`${scratch('data/a.bin')}: 760 tokens in 40 documents\n`);
  const outcome = await rnd1([
    'train',
    model,
    '--data',
    scratch('a.jsonl'),
    '-o',
    run,
    '--steps',
    '3',
    '--json',
    ...small,
  ]);
  expect(jsonLines(outcome.stdout).map(({ type, step }) => [type, step])).toEqual([
    ['step', 1],
    ['step', 2],
    ['step', 3],
    ['checkpoint', 3],
    ['done', 3],
  ]);
  const weighted = [`${scratch('data/a.bin')}:3`, `${scratch('a.jsonl')}:1`];
  const mixed = await rnd1([
    'train',
    model,
    '--data',
    ...weighted,
    '-o',
    newPath(),
    '--steps',
    '1',
    '-q',
    ...small,
  ]);
  expect(mixed).toEqual({ code: 0, stdout: '', stderr: '' });
});

test('killed at any moment, a run ends with the same weights', async () => {
  const data = writeTokens(scratch('kill.bin'), 4000);
  const flags = [
    '--steps',
    '60',
    '--save-every',
    '7',
    '--save-limit',
    '2',
    '--noise-scale',
    '--micro-batch',
    '2',
    ...small,
  ];
  const whole = newPath();
  expect(await rnd1(['train', micro, '--data', data, '-o', whole, '-q', ...flags])).toMatchObject({
    code: 0,
  });
  const run = newPath();
  let state = 7;
  let kills = 0;
  // Twenty kills after a random number of steps: between steps, while checkpoints are written, before the first one.
  for (let part = 0; part < 20; part++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const after = 1 + (state >>> 28);
    const resumes = existsSync(join(run, 'run.json'));
    const args = resumes
      ? ['train', '--resume', run, '--json']
      : ['train', micro, '--data', data, '-o', run, '--json', ...flags];
    const { code } = await rnd1(args, {
      onOutput: (stdout, kill) => {
        if (stdout.split('\n').length > after) kill('SIGKILL');
      },
    });
    if (code === null) kills++;
  }
  expect(kills).toBeGreaterThan(3);
  expect(await rnd1(['train', '--resume', run, '-q', '--threads', '2'])).toMatchObject({
    code: 0,
    stderr: '',
  });
  expect(weightsOf(run)).toBe(weightsOf(whole));
  const steps = readFileSync(join(run, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
  expect(steps.map((line) => JSON.parse(line).step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
  expect(
    readdirSync(run)
      .filter((name) => name.startsWith('checkpoint'))
      .sort(),
  ).toEqual(['checkpoint-56', 'checkpoint-60']);
});

test('Ctrl-C writes a checkpoint, from which the run goes on', async () => {
  const run = newPath();
  const data = writeTokens(scratch('interrupted.bin'), 4000);
  const args = ['train', micro, '--data', data, '-o', run, '--steps', '100000', '--json', ...small];
  // A second signal would end the process at once.
  let told = false;
  const { code, stdout } = await rnd1(args, {
    onOutput: (text, kill) => {
      if (!told && text.includes('"step":5,')) kill('SIGINT');
      told ||= text.includes('"step":5,');
    },
  });
  expect(code).toBe(130);
  const done = jsonLines(stdout).at(-1);
  expect(done).toMatchObject({ type: 'done', complete: false, steps: 100_000 });
  expect(done.step).toBeGreaterThanOrEqual(5);
  const more = await rnd1(['train', '--resume', run, '--steps', String(done.step + 1), '--json']);
  expect(jsonLines(more.stdout).map(({ type }) => type)).toEqual(['step', 'checkpoint', 'done']);
});

test('options come from a file in the names of the library or of transformers', async () => {
  const data = writeTokens(scratch('config.bin'), 2000);
  const config = (content: object) => {
    const path = scratch(`config-${fresh++}.json`);
    writeFileSync(path, JSON.stringify(content));
    return path;
  };
  const own = config({
    model: micro,
    data,
    steps: 2,
    batch: 4,
    sequenceLength: 16,
    learningRate: { base: 1e-3, mlp: 1e-4 },
  });
  const run = newPath();
  expect(await rnd1(['train', '--config', own, '-o', run, '--steps', '1', '-q'])).toMatchObject({
    code: 0,
    stderr: '',
  });
  expect(JSON.parse(readFileSync(join(run, 'run.json'), 'utf8')).options).toMatchObject({
    steps: 1,
    batch: 4,
    learningRate: { base: 1e-3, mlp: 1e-4 },
  });
  const theirs = config({
    data,
    output_dir: newPath(),
    max_steps: 3,
    'learning-rate': 2e-3,
    per_device_train_batch_size: 2,
    gradient_accumulation_steps: 3,
    warmup_ratio: 0.5,
    lr_scheduler_type: 'cosine',
    adam_beta2: 0.99,
    max_grad_norm: 0.5,
    max_seq_length: 16,
    save_total_limit: 1,
    bf16: true,
  });
  const outcome = await rnd1(['train', micro, '--config', theirs, '-q']);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  const { options, control } = JSON.parse(
    readFileSync(join(JSON.parse(readFileSync(theirs, 'utf8')).output_dir, 'run.json'), 'utf8'),
  );
  expect(options).toMatchObject({
    steps: 3,
    batch: 6,
    microBatch: 2,
    sequenceLength: 16,
    learningRate: { base: 2e-3 },
    schedule: { kind: 'cosine', warmup: 2 },
    optimizer: { betas: [0.9, 0.99], clip: 0.5 },
    dtype: 'bf16',
  });
  expect(control).toMatchObject({ saveLimit: 1 });
  for (const [content, message] of [
    [{ max_step: 1 }, /unknown option 'max_step'; did you mean 'max_steps'/],
    [{ lr_scheduler_type: 'polynomial' }, /lr_scheduler_type 'polynomial' is not one of constant,/],
  ] as const) {
    const { code, stderr } = await rnd1(['train', micro, '--config', config(content)]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(message) });
  }
});

test('wrong usage is told', async () => {
  const data = writeTokens(scratch('usage.bin'), 2000);
  const run = newPath();
  mkdirSync(run);
  cpSync(data, join(run, 'mine.bin'));
  for (const [args, code, message] of [
    [[], 2, /train needs <model>, --data, --output, --steps, --lr/],
    [
      [micro, '--data', data, '-o', newPath(), '--steps', '1', '--lr', '1', '--sequence-length', '999'],
      2,
      /--sequence-length 999 is more than the 128 positions/,
    ],
    [
      [micro, '--data', data, '-o', newPath(), '--steps', '1', '--lr', '1', '--lr-scale', 'mlp'],
      2,
      /Expected a group or a pattern/,
    ],
    [
      [micro, '--data', data, '-o', newPath(), '--steps', '1', '--lr', '1', '--lr-scale', 'nothing.*=2'],
      2,
      /no tensor of the checkpoint is named 'nothing\.\*'/,
    ],
    [
      [micro, '--data', `${data}:1`, data, '-o', newPath(), '--steps', '1', '--lr', '1'],
      2,
      /either all files/,
    ],
    [
      [micro, '--data', data, '-o', run, '--steps', '1', '--lr', '1', '--sequence-length', '16'],
      1,
      /is not empty: name a new folder, or resume its run/,
    ],
    [[micro, '--resume', run], 2, /--resume takes the model from the run's folder/],
    [['--resume', run, '--lr', '1'], 2, /--resume takes --lr from the run's folder/],
    [['--resume', run], 1, /has no run\.json/],
    [[micro, '--eval-every', '3'], 2, /--eval-every and --eval-canvases need --eval-data/],
  ] as const) {
    const outcome = await rnd1(['train', ...args]);
    expect({ args, code: outcome.code, stderr: outcome.stderr }).toEqual({
      args,
      code,
      stderr: expect.stringMatching(message),
    });
  }
});

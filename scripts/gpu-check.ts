/**
 * Everything that only a GPU can tell, in one command: builds with CUDA, tries every verb against float64 and against
 * the CPU, the small ones under compute-sanitizer, then the golden data through the whole stack.
 *
 *     tsx scripts/gpu-check.ts [--model FOLDER]
 *
 * --model: a checkpoint of RND1's size (bench/make-checkpoint.ts writes a random one) that fills a canvas of 256 in 256
 * steps, twice, with the same tokens.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { RND1 } from '../lib';
import { BuildError, root, say } from './command';
import { buildNativeTests } from './native-tests';
import { findProgram } from './toolchain';

/** Small shapes that go through every kernel: compute-sanitizer makes them hundreds of times slower. */
const smallTests = [
  'NaN stays in its',
  'NaN and infinity stay',
  'many rows have the bits of few',
  'packed canvases do not see',
  'score: plain plans',
  'top-k',
  'unmask:',
  'model: NaN fails',
];

function run(what: string, program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
  say(`\n== ${what}`);
  const { status, signal, error } = spawnSync(program, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, RND1_CUDA: 'ON', ...env },
  });
  if (status !== 0)
    throw new BuildError(`${what} failed: ${error?.message ?? signal ?? `exit code ${status}`}.`);
}

/** Tokens of a canvas of 256 after 256 steps, and the median step in milliseconds. */
async function fillCanvas(folder: string): Promise<{ tokens: Int32Array; milliseconds: number }> {
  const model = await RND1.load(folder, { device: 'cuda', dtype: 'bf16' });
  try {
    const times: number[] = [];
    let last = performance.now();
    const options = { prefix: [1000], length: 256, steps: 256, seed: 1 };
    let filled: Int32Array = new Int32Array();
    for await (const frame of model.denoiseTokens(options)) {
      times.push(performance.now() - last);
      last = performance.now();
      filled = frame.tokens;
    }
    times.sort((left, right) => left - right);
    return { tokens: filled, milliseconds: times[times.length >> 1] ?? Number.NaN };
  } finally {
    await model.dispose();
  }
}

async function fillTwice(folder: string): Promise<void> {
  say('\n== a canvas of 256 in 256 steps, twice');
  const first = await fillCanvas(folder);
  const second = await fillCanvas(folder);
  if (first.tokens.length < 256) throw new BuildError(`Only ${first.tokens.length} tokens came.`);
  if (first.tokens.some((token, i) => token !== second.tokens[i]))
    throw new BuildError('The second run gave other tokens.');
  say(
    `${first.tokens.length} tokens, ${first.milliseconds.toFixed(1)} ms a step (median), the same both times`,
  );
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { model: { type: 'string' } } });
  if (values.model && !existsSync(values.model)) throw new BuildError(`There is no ${values.model}.`);
  if (!findProgram('nvidia-smi')) throw new BuildError('There is no GPU here: nvidia-smi is not installed.');
  process.env.RND1_CUDA = 'ON';
  run('the addon with CUDA', process.execPath, ['--import', 'tsx', 'scripts/build.ts']);
  const [tests = ''] = buildNativeTests({ sanitize: false });
  run('every verb against float64, and at true shapes against the CPU', tests, []);
  const sanitizer = findProgram('compute-sanitizer', '/usr/local/cuda/bin/compute-sanitizer');
  if (!sanitizer) throw new BuildError('compute-sanitizer is not installed; it is part of the CUDA toolkit.');
  for (const tool of ['memcheck', 'racecheck'])
    run(`compute-sanitizer ${tool}`, sanitizer, [
      '--tool',
      tool,
      '--error-exitcode',
      '1',
      tests,
      ...smallTests,
    ]);
  run(
    'golden data on the GPU',
    process.execPath,
    ['node_modules/jest/bin/jest.js', 'test/model', '--testTimeout=600000'],
    { RND1_TEST_DEVICE: 'cuda' },
  );
  if (values.model) await fillTwice(values.model);
  else say('\nSKIPPED: a canvas of the whole model; name one with --model.');
}

main().catch((error: unknown) => {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
});

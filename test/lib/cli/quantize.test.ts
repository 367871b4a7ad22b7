import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeCheckpoint } from '../../../bench/support/checkpoint';
import { DiffusionLM, inspectCheckpoint } from '../../../lib/index';
import { nano, rnd1, root, scratchFolder, start } from './rnd1';

const scratch = scratchFolder();
let fresh = 0;

const newPath = () => scratch(`out-${fresh++}`);

/** SHA-256 of every file, by name. */
function digests(path: string): Record<string, string> {
  const digest = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(path, name)))
      .digest('hex');
  return Object.fromEntries(
    readdirSync(path)
      .sort()
      .map((name) => [name, digest(name)]),
  );
}

/** Converts with the built library, in shards of 300 kB; `killAt` is the file operation before which it is killed. */
async function convert(out: string, killAt?: number) {
  const program = `require(${JSON.stringify(root)}).quantizeCheckpoint(${JSON.stringify(nano)}, ${JSON.stringify(out)},
    { dtype: 'q4', shardBytes: 300000 }).then((report) => console.log(JSON.stringify(report)))`;
  const hook = killAt === undefined ? [] : ['--require', join(__dirname, 'kill-at.js')];
  const env = { KILL_AT: String(killAt), KILL_IN: out };
  const { code, stdout, stderr } = await start(process.execPath, [...hook, '-e', program], { env });
  if (code !== null && code !== 0) throw new Error(stderr);
  return code === null ? null : JSON.parse(stdout);
}

test('a name that would steer a terminal is shown without doing so', async () => {
  const out = `${newPath()}\x1b]0;title\x07`;
  const { stdout } = await rnd1(['quantize', nano, out, '--dtype', 'q8']);
  expect(stdout).toMatch(/^.*␛\]0;title␇: q8, /);
  expect(existsSync(out)).toBe(true);
});

test('warns of contradictions as commands that load do, and tells what it did', async () => {
  const [input, out] = [newPath(), newPath()];
  cpSync(nano, input, { recursive: true });
  writeFileSync(join(input, 'model.safetensors.index.json'), '{}');
  const { warnings } = await inspectCheckpoint(input);
  expect(warnings).toEqual([expect.stringContaining('model.safetensors.index.json is not read')]);
  const { stderr } = await rnd1(['quantize', input, out, '--dtype', 'q8', '--threads', '1', '--verbose']);
  expect(stderr.split('\n')).toEqual([
    `rnd1: warning: ${warnings[0]}`,
    `rnd1: read: ${input}, 3.69 MB of weights`,
    `rnd1: written: ${out}, 1.97 MB in groups of 64 columns`,
    expect.stringMatching(/^rnd1: quantizing: [\d.]+ s, 1 threads?$/),
    '',
  ]);
  const quiet = await rnd1(['quantize', input, newPath(), '--dtype', 'q8', '--quiet']);
  expect(quiet).toMatchObject({ code: 0, stdout: '', stderr: '' });
});

test('writes a checkpoint that says what it is, loads and answers', async () => {
  const out = newPath();
  const { code, stdout, stderr } = await rnd1(['quantize', nano, out, '--dtype', 'q4']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^.*: q4, 1\.14 MB of 3\.69 MB, 1 file\n$/);
  expect(readdirSync(out).sort()).toEqual([
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);
  const described = await rnd1(['inspect', out]);
  expect(described.stdout).toMatch(/weights +q4 in groups of 64, 4\.75 bits per parameter/);
  expect(described.stdout).toContain('compute dtype bf16, q4 weights');
  const { stdout: json } = await rnd1(['inspect', out, '--json']);
  expect(JSON.parse(json)).toMatchObject({
    weights: 'q4',
    quantization: { dtype: 'q4', group: 64 },
    metadata: { 'rnd1.format': 'q4', 'rnd1.group': '64' },
    wouldRun: { device: 'cpu', dtype: 'bf16', weights: 'q4' },
  });
  expect(await rnd1(['generate', 'What is 47+38?', '--model', out, '--seed', '1'])).toMatchObject({
    code: 0,
    stdout: '85\n',
  });
  const other = await rnd1(['generate', 'What is 1+1?', '--model', out, '--dtype', 'q8']);
  expect(other).toMatchObject({ code: 1, stdout: '' });
  expect(other.stderr).toContain("dtype 'q8' is requested, but the weights are q4 already");
});

test('writes a mixed checkpoint, which is neither q8 nor q4', async () => {
  const out = newPath();
  const { stdout } = await rnd1(['quantize', nano, out, '--dtype', 'q4m', '--verbose']);
  expect(stdout).toMatch(/^.*: q4m, 1\.24 MB of 3\.69 MB, 1 file\n$/);
  const described = await rnd1(['inspect', out]);
  expect(described.stdout).toMatch(/weights +q4m in groups of 64, 5\.22 bits per parameter/);
  const { stdout: json } = await rnd1(['inspect', out, '--json']);
  expect(JSON.parse(json)).toMatchObject({
    weights: 'q4m',
    quantization: { dtype: 'q4m', group: 64 },
    metadata: { 'rnd1.format': 'q4m', 'rnd1.group': '64' },
    wouldRun: { weights: 'q4m' },
  });
  for (const dtype of ['q8', 'q4']) {
    const { code, stderr } = await rnd1(['generate', 'What is 1+1?', '--model', out, '--dtype', dtype]);
    expect(code).toBe(1);
    expect(stderr).toContain(`dtype '${dtype}' is requested, but the weights are q4m already`);
  }
  const asked = ['generate', 'What is 47+38?', '--dtype', 'q4m', '--seed', '1'];
  expect((await rnd1(asked)).stdout).toBe('85\n');
  expect((await rnd1([...asked, '--model', out])).stdout).toBe('85\n');
});

test('a file, a copy of it and an unquantized checkpoint that is quantized while it loads give the same bits', async () => {
  for (const dtype of ['q8', 'q5m', 'q5', 'q4m', 'q4'] as const) {
    const out = newPath();
    await rnd1(['quantize', nano, out, '--dtype', dtype, '--quiet']);
    const tokens = Int32Array.from({ length: 37 }, (_, i) => (i * 11) % 256);
    const [written, made, copied] = await Promise.all([
      DiffusionLM.load(out, { mmap: true }),
      DiffusionLM.load(nano, { dtype }),
      DiffusionLM.load(out, { mmap: false }),
    ]);
    expect(written.info).toMatchObject({ device: 'cpu', dtype: 'bf16', weightDtype: dtype });
    // The room for caches depends on the memory that is free.
    const { maxCacheBytes, ...same } = written.info;
    expect(made.info).toMatchObject({ ...same, folder: nano, mapped: false });
    const logits = async (model: DiffusionLM) => Buffer.from((await model.forward(tokens)).logits.buffer);
    expect((await logits(written)).equals(await logits(made))).toBe(true);
    expect((await logits(written)).equals(await logits(copied))).toBe(true);
    await Promise.all([written.dispose(), made.dispose(), copied.dispose()]);
  }
});

test('goes on after kill -9 at any point, and nothing loads before the end', async () => {
  const whole = newPath();
  const report = await convert(whole);
  expect(report).toMatchObject({ files: 4, resumed: 0 });
  const out = newPath();
  let killed = 0;
  // Every run is killed one file operation later than the one before; the last ones find all files complete.
  for (; !existsSync(join(out, 'config.json')); killed++) {
    expect(await convert(out, killed)).toBeNull();
    if (!existsSync(join(out, 'config.json'))) {
      await expect(inspectCheckpoint(out)).rejects.toMatchObject({ name: 'RND1Error' });
    }
  }
  expect(killed).toBeGreaterThan(10);
  // Complete, except that the state file still exists.
  expect(readdirSync(out)).toContain('rnd1-quantize.json');
  expect(await convert(out)).toMatchObject({ files: 4, resumed: 4 });
  expect(digests(out)).toEqual(digests(whole));
});

describe('a larger checkpoint', () => {
  let large = '';
  beforeAll(async () => {
    large = scratch('large');
    await writeCheckpoint(large, {
      sizes: {
        ...{
          layers: 2,
          hidden: 1024,
          heads: 8,
          keyValueHeads: 2,
          headDim: 64,
          experts: 8,
          expertsPerToken: 2,
        },
        ...{ expertWidth: 768, vocabulary: 500, maxPositions: 128, rmsNormEpsilon: 1e-6, ropeTheta: 1e6 },
        ...{ normTopkProb: true, tieWordEmbeddings: false },
      },
      seed: 1,
      shardBytes: 1e9,
    });
  });

  /** Starts the command line and sends a signal once a weight file is being filled. */
  async function interrupt(out: string, signal: NodeJS.Signals): Promise<number | null> {
    const args = [
      join(root, 'dist', 'cli', 'main.js'),
      'quantize',
      large,
      out,
      '--dtype',
      'q4',
      '--threads',
      '1',
    ];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    const files = () => (existsSync(out) ? readdirSync(out) : []);
    const before = files();
    const filling = () => files().some((name) => name.startsWith('model.') && !before.includes(name));
    while (child.exitCode === null && !filling()) await new Promise((resolve) => setTimeout(resolve, 2));
    child.kill(signal);
    return ended;
  }

  test('killed while native code fills a file, or stopped by Ctrl-C, it goes on', async () => {
    const out = newPath();
    expect(await interrupt(out, 'SIGKILL')).toBeNull();
    expect(readdirSync(out).filter((name) => name.includes('.partial-'))).toHaveLength(1);
    expect(await interrupt(out, 'SIGINT')).toBe(130);
    // Ctrl-C deletes the temporary file.
    expect(readdirSync(out)).toEqual(['rnd1-quantize.json']);
    expect(await rnd1(['quantize', large, out, '--dtype', 'q4'])).toMatchObject({ code: 0 });
    expect(readdirSync(out).sort()).toEqual(['config.json', 'model.safetensors']);
    const model = await DiffusionLM.load(out);
    expect((await model.forward([1, 2, 3])).logits.every(Number.isFinite)).toBe(true);
    await model.dispose();
  });
});

describe('refuses', () => {
  /** Standard error of a run that fails. */
  async function refusal(code: number, ...args: string[]): Promise<string> {
    const outcome = await rnd1(['quantize', ...args]);
    expect(outcome).toMatchObject({ code, stdout: '' });
    return outcome.stderr;
  }

  test('a call without folders, then one without a dtype', async () => {
    expect(await refusal(2)).toContain("missing required argument 'in'");
    expect(await refusal(2, nano, newPath())).toContain('--dtype is needed: q8, q5m, q5, q4m, q4 or fp8');
  });

  test('its own input as output, under any name', async () => {
    const copy = newPath();
    cpSync(nano, copy, { recursive: true });
    for (const name of [copy, `${copy}/`, join(copy, '..', copy.split('/').at(-1) ?? '')]) {
      expect(await refusal(2, copy, name, '--dtype', 'q8')).toContain('another folder');
    }
    expect(digests(copy)).toEqual(digests(nano));
  });

  test('a folder that holds anything else, and leaves it as it is', async () => {
    const out = newPath();
    mkdirSync(out);
    writeFileSync(join(out, 'diary.txt'), 'dear diary');
    expect(await refusal(1, nano, out, '--dtype', 'q8')).toContain(`${out} is not empty`);
    expect(readdirSync(out)).toEqual(['diary.txt']);
    const file = join(out, 'diary.txt');
    expect(await refusal(1, nano, file, '--dtype', 'q8')).toContain(file);
  });

  test('an unfinished conversion with other options', async () => {
    const out = newPath();
    await convert(out, 8);
    const before = digests(out);
    expect(await refusal(1, nano, out, '--dtype', 'q8')).toContain('unfinished conversion of another');
    expect(digests(out)).toEqual(before);
  });

  test('what is quantized already', async () => {
    const [first, second] = [newPath(), newPath()];
    await rnd1(['quantize', nano, first, '--dtype', 'q8']);
    expect(await refusal(1, first, second, '--dtype', 'q4')).toContain(`${first} is q8 already`);
    expect(existsSync(second)).toBe(false);
  });

  test('a checkpoint without scales for its numbers, by file and tensor', async () => {
    const bad = newPath();
    cpSync(nano, bad, { recursive: true });
    const path = join(bad, 'model.safetensors');
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE());
    const name = 'model.layers.1.self_attn.v_proj.weight';
    const [begin] = JSON.parse(bytes.toString('utf8', 8, 8 + length))[name].data_offsets;
    bytes.writeUInt16LE(0x7f80, 8 + length + begin + 500);
    writeFileSync(path, bytes);
    const out = newPath();
    const message = await refusal(1, bad, out, '--dtype', 'q4');
    for (const word of [path, name, 'infinity']) expect(message).toContain(word);
    expect(readdirSync(out)).toEqual(['rnd1-quantize.json']);
  });

  test('what is no checkpoint, and a command line without --dtype', async () => {
    expect(await refusal(1, scratch('nothing'), newPath(), '--dtype', 'q4')).toContain('nothing');
    expect(await refusal(2, nano, newPath())).toContain('--dtype');
    expect(await refusal(2, nano, newPath(), '--dtype', 'q6')).toContain('q6');
    expect(await refusal(2, nano, newPath(), '--dtype', 'q4', '--group', '48')).toContain('48');
  });
});

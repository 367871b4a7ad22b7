import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatReport } from '../../lib/cli/report';
import { inspectCheckpoint } from '../../lib/index';
import { rnd1, root, start } from './rnd1';

const planOf = (reason: string) => ({
  device: 'cpu',
  instructionSet: 'avx512',
  threads: 2,
  dtype: 'bf16',
  weights: 'bf16',
  reason,
});
const ids = (text: string) => [...Buffer.from(text)].join(',');
const nano = join(root, 'models', 'nano');
const tiny = join(root, 'test', 'fixtures', 'tiny-moe');
const parse = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('generate', () => {
  const question = 'Question: What is 47+38?\nAnswer:';

  test.each<[string, string[], string]>([
    ['an argument', ['What is 47+38?'], ''],
    ['standard input', [], 'What is 47+38?\n'],
    ['standard input by name', ['-'], 'What is 47+38?\n'],
    ['a completion', ['--mode', 'completion', question], ''],
  ])('answers a prompt from %s, and prints nothing else', async (_, args, input) => {
    const { code, stdout, stderr } = await rnd1(['generate', ...args], { input });
    expect({ code, stdout: stdout.trimStart(), stderr }).toEqual({ code: 0, stdout: '85\n', stderr: '' });
  });

  test('prints one object a step with --json, then the result', async () => {
    const args = ['generate', 'Sort z k m q', '--json', '--steps', '16', '--seed', '7', '-n', '32'];
    const { code, stdout } = await rnd1(args);
    expect(code).toBe(0);
    const objects = parse(stdout);
    const result = objects.pop();
    expect(result).toMatchObject({ type: 'result', seed: '7', finishReason: 'stop' });
    expect(result.text.trim()).toBe('k m q z');
    const length = result.tokens.length;
    for (const [index, frame] of objects.entries()) {
      expect(frame).toMatchObject({ type: 'step', step: index + 1, steps: 16 });
      for (const name of ['tokens', 'masked', 'predicted', 'confidence', 'entropy'])
        expect(frame[name]).toHaveLength(length);
      for (const position of frame.committed) {
        expect(frame.masked[position]).toBe(0);
        expect(frame.tokens[position]).toBe(frame.predicted[position]);
      }
    }
    expect(objects.at(-1).tokens).toEqual(result.tokens);
  });

  test('works on ids, without a tokenizer', async () => {
    const options = ['--model', tiny, '-n', '9', '--steps', '4', '--dtype', 'f32'];
    const generate = (tokens: string, input = '') =>
      rnd1(['generate', ...options, '--tokens', tokens], { input });
    const { code, stdout, stderr } = await generate('1,2,3');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^(\d+,){7}\d+\n$/);
    const file = join(folder, 'prompt.txt');
    writeFileSync(file, '[1, 2, 3]\n');
    expect((await generate(`@${file}`)).stdout).toBe(stdout);
    expect((await generate('-', '1 2 3')).stdout).toBe(stdout);
    const args = [...options, '--tokens', '1,2,3'];
    const [result] = parse((await rnd1(['generate', ...args, '--json'])).stdout).slice(-1);
    expect(result.text).toBeUndefined();
    expect(`${result.positions.map((position: number) => result.tokens[position]).join(',')}\n`).toBe(stdout);
  });

  test('knows the special ids that it is told', async () => {
    const args = ['--tokens', ids('Question: Reverse abc'), '-n', '4', '--json'];
    const [last] = parse((await rnd1(['generate', ...args, '--eos-token-id', 'none'])).stdout).slice(-1);
    expect(last.positions).toHaveLength(4);
    const [padless] = parse((await rnd1(['generate', ...args, '--pad-token-id', 'none'])).stdout).slice(-1);
    expect(padless.tokens.at(-1)).toBe(0);
    const [reserved] = parse((await rnd1(['generate', ...args, '--add-eos'])).stdout).slice(-1);
    expect(reserved.positions).toHaveLength(3);
    expect(reserved.tokens.at(-1)).toBe(258);
  });
});

describe('the schedule', () => {
  const frames = async (...args: string[]) => {
    const { code, stdout } = await rnd1(['generate', 'What is 47+38?', '-n', '32', '--json', ...args]);
    expect(code).toBe(0);
    return parse(stdout).slice(0, -1);
  };

  test('is entropy-bounded, wherever the output goes, and entropy where steps are counted', async () => {
    const unasked = await frames();
    expect(unasked).toEqual(await frames('--schedule', 'entropy-bounded=0.01'));
    expect(unasked.length).toBeLessThan(8);
    const counted = await frames('--steps', '31');
    expect(counted).toEqual(await frames('--steps', '31', '--schedule', 'entropy'));
    expect(counted.map(({ committed }) => committed.length)).toEqual(counted.map(() => 1));
  });

  test('seeds are shown and wanted only where something is drawn', async () => {
    const of = async (...args: string[]) => (await rnd1(['generate', 'x', '-n', '8', ...args])).stderr;
    const hint = /^rnd1: --seed has no effect: .*\n$/;
    expect(await of('--seed', '7')).toMatch(hint);
    expect(await of('--seed', '7', '--quiet')).toBe('');
    expect(await of('--seed', '7', '--temperature', '1', '--greedy')).toMatch(hint);
    expect(await of('--seed', '7', '--temperature', '1')).toBe('');
    expect(await of('--seed', '7', '--schedule', 'blocks=4:random')).toBe('');
    expect(await of('--verbose', '--temperature', '1', '--seed', '7')).toMatch(/, seed 7\n$/);
    const greedy = await of('--verbose');
    expect(greedy).toMatch(/tokens in .*\n$/);
    expect(greedy).not.toContain('seed');
  });
});

describe('texts in files', () => {
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };

  test('are those of arguments and standard input, without the newline at the end', async () => {
    const file = write('question.txt', 'Reverse lantern\r\n');
    const expected = await rnd1(['generate', 'Reverse lantern']);
    expect(await rnd1(['generate', '--file', file])).toEqual(expected);
    expect(await rnd1(['generate', '-f', '-'], { input: 'Reverse lantern\n' })).toEqual(expected);
    const holes = write('holes.txt', 'Question: Reverse di_mo_d\nAnswer: dnomaid\n');
    const filled = await rnd1(['fill', '--file', holes, '--hole', '_', '--tokens-per-hole', '1']);
    expect(filled.stdout).toBe('Question: Reverse diamond\nAnswer: dnomaid\n');
  });

  test('can be before and after', async () => {
    const prefix = write('prefix.txt', 'Question: What is 40+');
    const args = ['infill', '--prefix-file', prefix, '--suffix-file', '-', '-l', '1'];
    const { code, stdout } = await rnd1(args, { input: '?\nAnswer: 42\n' });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Question: What is 40+2?\nAnswer: 42\n' });
  });

  test.each<[string[], number, string]>([
    [['generate', 'x', '--file', 'y'], 2, 'exclude each other'],
    [['fill', 'x', '--file', 'y'], 2, 'exclude each other'],
    [['generate', '--tokens', '1', '--file', 'y'], 2, '--tokens and --file exclude each other'],
    [['infill', '--prefix', 'x', '--prefix-file', 'y', '-l', '1'], 2, '--prefix-file and --prefix'],
    [['infill', '--prefix-file', '-', '--suffix-file', '-', '-l', '1'], 2, 'both be standard input'],
    [['infill', '--tokens', '1', '--suffix-file', 'y', '-l', '1'], 2, 'exclude each other'],
    [['generate', '--file', 'no-such-file'], 1, 'no-such-file'],
    [['generate', '--file', root], 1, `cannot read ${root}: EISDIR`],
    [['fill', '--file', root], 1, `cannot read ${root}: EISDIR`],
    [['generate', '-5+3'], 2, "unknown option '-5+3'; put a text that begins with a hyphen after --"],
    [['help', 'generat'], 2, "there is no command 'generat'; did you mean generate?"],
  ])('%j fails', async (args, expected, part) => {
    const { code, stdout, stderr } = await rnd1(args);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toContain(part);
  });
});

describe('--verbose and --threads', () => {
  test('say where the weights come from, what they run on and why, and how long it took', async () => {
    const { code, stdout, stderr } = await rnd1(['generate', 'What is 1+1?', '--model', nano, '--verbose']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '2\n' });
    const lines = stderr.trimEnd().split('\n');
    expect(lines).toEqual([
      `rnd1: model: ${nano} (a folder)`,
      'rnd1: tokenizer: tokenizer.json',
      expect.stringMatching(/^rnd1: device: cpu \(\w+\), \d+ threads?, compute dtype bf16$/),
      expect.stringMatching(/^rnd1: why there: .+/),
      'rnd1: weights: 3.69 MB, bf16, copied: they take at most half of the free memory',
      expect.stringMatching(/^rnd1: loading: configuration and tokenizer [\d.]+ s, weights [\d.]+ s$/),
      expect.stringMatching(/^rnd1: \d+ tokens in \d+ forwards?, [\d.]+ s, [\d.]+ tokens\/s$/),
    ]);
    const mapped = await rnd1(['generate', 'What is 1+1?', '--mmap', '--device', 'cpu', '--verbose']);
    expect(mapped.stderr).toContain('mapped files, as --mmap asks');
    expect(mapped.stderr).toContain('--device cpu asks for it');
    expect(mapped.stderr).toContain('(the embedded model)');
  });

  test('say of an inspection where the checkpoint lies', async () => {
    const { stdout, stderr } = await rnd1(['inspect', nano, '--verbose']);
    expect(stderr).toMatch(/^rnd1: model: .+ \(a folder\)\nrnd1: reading: [\d.]+ s\n$/);
    expect(stdout).toBe((await rnd1(['inspect', nano])).stdout);
  });

  test('more threads than cores become as many as there are, with a warning', async () => {
    const cores = availableParallelism();
    const warning = `rnd1: warning: --threads ${cores + 1} is more than this machine has cores: using ${cores}\n`;
    const inspected = await rnd1(['inspect', '--json', '--threads', String(cores + 1)]);
    expect(inspected.stderr).toBe(warning);
    expect(JSON.parse(inspected.stdout).wouldRun.threads).toBe(cores);
    const generated = await rnd1(['generate', 'x', '--verbose', '--threads', String(cores + 1)]);
    expect(generated.stderr).toContain(warning);
    expect(generated.stderr).toContain(`, ${cores} threads`);
    expect((await rnd1(['inspect', '--threads', String(cores)])).stderr).toBe('');
  });
});

describe('infill and fill', () => {
  test('write between two texts', async () => {
    const args = ['--prefix', 'Question: What is 40+', '--suffix', '?\nAnswer: 42', '--length', '1'];
    expect(await rnd1(['infill', ...args])).toEqual({
      code: 0,
      stdout: 'Question: What is 40+2?\nAnswer: 42\n',
      stderr: '',
    });
  });

  test('write between ids', async () => {
    const args = ['--tokens', ids('What is 40+'), '--suffix-tokens', ids('?'), '-l', '1'];
    const { code, stdout } = await rnd1(['infill', ...args]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^${ids('What is 40+')},\\d+,${ids('?')},256\n$`));
  });

  test('fill the holes of a text', async () => {
    const text = 'Question: Reverse di_mo_d\nAnswer: dnomaid';
    const { code, stdout } = await rnd1(['fill', '--hole', '_', '--tokens-per-hole', '1'], { input: text });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Question: Reverse diamond\nAnswer: dnomaid\n' });
  });

  test('fill the holes between ids', async () => {
    const { code, stdout } = await rnd1(['fill', '--tokens', `${ids('3+')},_,${ids('?')},_`]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^51,43,\d+,63,\d+\n$/);
  });
});

describe('inspect', () => {
  test('tells sizes, tensors, parameters, bytes, device and instruction set', async () => {
    const { code, stdout, stderr } = await rnd1(['inspect']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const part of [nano, '1.84M in all, 662.91K active', '3.69 MB bf16', '8 of width 128', '[264, 128]'])
      expect(stdout).toContain(part);
    expect(stdout).toMatch(/would run on +cpu \(\w+\), \d+ threads, compute dtype bf16/);
  });

  test('gives the same as an object, and every tensor where that is wanted', async () => {
    const { code, stdout } = await rnd1(['inspect', tiny, '--json', '--tensors', '--threads', '1']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      dtype: 'f32',
      ignored: [],
      tokenizer: false,
      wouldRun: { device: 'cpu', threads: 1, dtype: 'f32' },
    });
    expect(report.tensors).toHaveLength(report.tensorCount);
  });

  test('has a line for each tensor in 80 columns, closer together where it must be', async () => {
    const [report, plan] = [await inspectCheckpoint(nano), planOf('')];
    expect(formatReport(report, plan, false, 80)).toMatch(
      /\n {2}lm_head\.weight +bf16 1 × \[264, 128\] +67\.6 kB$/,
    );
    expect(formatReport(report, plan, false, 100)).toMatch(
      /\n {2}lm_head\.weight +bf16 {2}1 × \[264, 128\] +67\.6 kB$/,
    );
  });

  test('fits 80 columns, and narrower terminals', async () => {
    const report = await inspectCheckpoint(nano);
    const plan = planOf('a reason that goes on and on '.repeat(5));
    for (const columns of [80, 60, 40, 20]) {
      for (const all of [false, true]) {
        const [first, ...lines] = formatReport(report, plan, all, columns).split('\n');
        expect(first).toBe(nano);
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
        const text = lines.map((line) => line.trim()).join('');
        expect(text.replaceAll(' ', '')).toContain('model.safetensors(3.70MB)');
        expect(text.replaceAll(' ', '')).toContain('model.layers.0.'.slice(0, all ? 15 : 13));
        expect(text.replaceAll(' ', '')).toContain(plan.reason.replaceAll(' ', ''));
      }
    }
    const { stdout } = await rnd1(['inspect', '--tensors']);
    expect(
      Math.max(
        ...stdout
          .split('\n')
          .slice(1)
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(80);
  });

  /** A copy of the tiny checkpoint with one more tensor and metadata. */
  function copyWith(name: string, tensor: string, metadata: Record<string, string> = {}): string {
    const copy = join(folder, name);
    cpSync(tiny, copy, { recursive: true });
    const file = join(copy, 'model.safetensors');
    const bytes = readFileSync(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
    header.__metadata__ = metadata;
    header[tensor] = {
      dtype: 'U8',
      shape: [4],
      data_offsets: [bytes.length - 8 - length, bytes.length - 4 - length],
    };
    const json = Buffer.from(JSON.stringify(header));
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(json.length));
    writeFileSync(file, Buffer.concat([prefix, json, bytes.subarray(8 + length), Buffer.alloc(4)]));
    return copy;
  }

  test('lists the tensors that it ignores', async () => {
    const { code, stdout } = await rnd1(['inspect', copyWith('unknown', 'visual.patch')]);
    expect(code).toBe(0);
    expect(stdout).toContain('1 ignored');
    expect(stdout).toContain('visual.patch');
  });

  test('shows names that would steer a terminal without doing so', async () => {
    const hostile = '\x1b]0;title\x07\x9b31m\u202Ename\nnext';
    const copy = copyWith(`hostile \x1b[31m`, hostile, { [hostile]: hostile });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    const steers = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/;
    for (const args of [[], ['--tensors'], ['--json', '--tensors']]) {
      const { code, stdout } = await rnd1(['inspect', copy, ...args]);
      expect(code).toBe(0);
      expect(stdout).toContain('title');
      expect(stdout).not.toMatch(steers);
      if (args.length > 0) continue;
      expect(stdout).toContain('␛]0;title␇\uFFFD31m\uFFFDname␊next');
    }
    const { metadata } = JSON.parse((await rnd1(['inspect', copy, '--json'])).stdout);
    expect(metadata).toEqual({ [hostile]: hostile });
    writeFileSync(join(copy, 'config.json'), JSON.stringify({ model_type: hostile }));
    const failed = await rnd1(['inspect', copy], { env: { RND1_DEBUG: '1' } });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain('title');
    expect(failed.stderr).not.toMatch(steers);
  });

  test('shows arguments that would steer a terminal without doing so', async () => {
    const hostile = '\x1b]0;title\x07\x9b31m\u202E\u200F\u2028';
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    const steers = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200f\u2028\u202e]/;
    for (const args of [
      [hostile],
      ['help', hostile],
      ['inspect', hostile],
      ['generate', 'a', `--${hostile}`],
      ['generate', 'a', '--steps', hostile],
      ['generate', '--file', hostile],
    ]) {
      const { code, stderr } = await rnd1(args);
      expect(code).toBeGreaterThan(0);
      expect(stderr).toContain('␛]0;title␇');
      expect(stderr).not.toMatch(steers);
    }
  });
});

test('contradictions in a checkpoint are told on standard error, unless it is to be quiet', async () => {
  const copy = join(folder, 'contradictory');
  cpSync(join(root, 'models', 'nano'), copy, { recursive: true });
  const path = join(copy, 'generation_config.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), pad_token_id: 257 }));
  const warning = `rnd1: warning: ${path}: pad_token_id 257 is taken, not 256 of ${join(copy, 'config.json')}\n`;
  const generate = ['generate', 'Sort z k m q', '-m', copy, '--seed', '1'];
  const loud = await rnd1(generate);
  expect({ code: loud.code, stdout: loud.stdout }).toEqual({ code: 0, stdout: 'k m q z\n' });
  expect(loud.stderr).toContain(warning);
  expect((await rnd1([...generate, '--quiet'])).stderr).toBe('');
  const inspected = await rnd1(['inspect', copy, '--json']);
  expect(inspected.stderr).toContain(warning);
  expect(JSON.parse(inspected.stdout).warnings).toHaveLength(2);
});

describe('exit codes', () => {
  test.each<[string, number, string[], string]>([
    ['a prompt that is not there', 2, ['generate'], 'no prompt'],
    ['a prompt that is too long', 2, ['generate', 'x'.repeat(300)], 'the prompt has 318 tokens'],
    ['no command', 2, [], 'Usage: rnd1'],
    ['an unknown command', 2, ['generat', 'x'], 'generate'],
    ['an unknown option', 2, ['generate', 'x', '--stepz', '3'], '--steps'],
    ['an option without its value', 2, ['generate', 'x', '--steps'], '--steps'],
    ['a number that is none', 2, ['generate', 'x', '--steps', 'many'], "'many'"],
    ['a schedule that is none', 2, ['generate', 'x', '--schedule', 'fast'], "'fast'"],
    ['too many arguments', 2, ['generate', 'x', 'y'], 'needs quotes'],
    ['an argument of a command that takes none', 2, ['serve', 'x'], 'Expected 0 arguments but got 1.\n'],
    ['another name of --version', 2, ['-v'], 'did you mean --version?'],
    [
      "the library's name of an option",
      2,
      ['generate', 'x', '--maxNewTokens=3'],
      'did you mean --max-new-tokens?',
    ],
    ['help on nothing', 2, ['help', 'nope'], "no command 'nope'"],
    ['a missing option', 2, ['infill', '--prefix', 'x'], '--length'],
    ['options that exclude each other', 2, ['generate', 'x', '--tokens', '1'], '--tokens'],
    ['an option that needs another', 2, ['generate', 'x', '--pad-token-id', '1'], '--tokens'],
    ['an id outside the vocabulary', 2, ['generate', '--tokens', '264'], '264'],
    ['a text without holes', 2, ['fill', 'x'], '___'],
    ['two ids for one', 2, ['generate', '--tokens', '1', '--pad-token-id', '1,2'], 'one token id'],
    ['no mask token', 2, ['generate', '--tokens', '1', '--mask-token-id', 'none'], '--mask-token-id'],
    ['ids without holes', 2, ['fill', '--tokens', '1,2'], '_'],
    ['more than the model attends to', 2, ['generate', 'x', '-n', '1000'], '256'],
    ['a number that leaves nothing', 2, ['generate', 'x', '-n', '1'], '--max-new-tokens 1'],
    ['a folder that is none', 1, ['generate', 'x', '--model', 'no-such-folder'], 'no-such-folder'],
    ['a file of ids that is none', 1, ['generate', '--tokens', '@no-such-file'], 'no-such-file'],
    ['a model without tokenizer', 1, ['generate', 'x', '--model', tiny], 'tokenizer'],
    ['a GPU that is not there', 1, ['generate', 'x', '--device', 'cuda:9'], 'CUDA'],
  ])('%s: %i', async (_, expected, args, part) => {
    const { code, stdout, stderr } = await rnd1(args);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toContain(part);
    // A message, not a stack trace.
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('inspect says what RND1_CPU comes to', async () => {
    const baseline = await rnd1(['inspect'], { env: { RND1_CPU: 'baseline' } });
    expect(baseline.stdout).toContain('cpu (baseline)');
    const abacus = await rnd1(['inspect'], { env: { RND1_CPU: 'abacus' } });
    expect(abacus.stdout).toContain('not at all: RND1_CPU asks for abacus');
  });

  test('RND1_DEBUG adds the stack', async () => {
    const { code, stderr } = await rnd1(['inspect', 'no-such-folder'], { env: { RND1_DEBUG: '1' } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/\n\s+at /);
  });

  test('0 when whoever reads has read enough', async () => {
    const command = `"${process.execPath}" dist/cli/main.js generate x --json --no-stop-at-eos | head -n 1`;
    const { code, stdout, stderr } = await start('bash', ['-o', 'pipefail', '-c', command]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(parse(stdout)).toHaveLength(1);
  });
});

describe('Ctrl-C', () => {
  // As many rounds as positions: long enough to be interrupted.
  const long = ['generate', 'x', '-n', '200', '--steps', '199', '--no-stop-at-eos', '--json'];
  const after = (signal: NodeJS.Signals) => {
    let sent = false;
    return (stdout: string, kill: (signal: NodeJS.Signals) => void) => {
      if (!sent && stdout.includes('\n')) kill(signal);
      sent ||= stdout.includes('\n');
    };
  };

  test.each<[NodeJS.Signals, number]>([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('%s prints what is there, and ends with %i', async (signal, expected) => {
    const { code, stdout, stderr } = await rnd1(long, { onOutput: after(signal) });
    expect({ code, stderr }).toEqual({ code: expected, stderr: '' });
    const objects = parse(stdout);
    const result = objects.pop();
    expect(result).toMatchObject({ type: 'result', finishReason: 'interrupted' });
    expect(result.tokens).toEqual(objects.at(-1).tokens);
    expect(result.masked).toContain(1);
    expect(result.positions).toHaveLength(199);
    expect(result.text).toContain('░');
  });
});

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { jsonLines, nano, rnd1, scratchFolder, start, tiny } from './rnd1';

const scratch = scratchFolder();

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

test('contradictions in a checkpoint are told on standard error, unless it is to be quiet', async () => {
  const copy = scratch('contradictory');
  cpSync(nano, copy, { recursive: true });
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
    expect(jsonLines(stdout)).toHaveLength(1);
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
    const objects = jsonLines(stdout);
    const result = objects.pop();
    expect(result).toMatchObject({ type: 'result', finishReason: 'interrupted' });
    expect(result.tokens).toEqual(objects.at(-1).tokens);
    expect(result.masked).toContain(1);
    expect(result.positions).toHaveLength(199);
    expect(result.text).toContain('░');
  });
});

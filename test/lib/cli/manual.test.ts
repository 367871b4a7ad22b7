import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { completeCommand } from '../../../lib/cli/completion';
import { createProgram } from '../../../lib/cli/program';
import { instructTwin } from '../../support/instruct-twin';
import { RedisServer, redisProgram } from '../../support/redis';
import { LocalHub } from '../hub/local-hub';
import { shardedNano } from '../hub/sharded-nano';
import { rnd1, root, start } from './rnd1';

// All commands except the hidden one that shell completions call.
const commands = createProgram()
  .commands.map((command) => command.name())
  .filter((name) => name !== completeCommand);

/** Text of a command's manual. */
const manualOf = async (command: string) => (await rnd1(['help', command])).stdout;

test('the program introduces itself, asked or unasked', async () => {
  const asked = await rnd1(['--help']);
  expect(asked).toMatchObject({ code: 0, stderr: '' });
  expect(asked.stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
  for (const command of commands) expect(asked.stdout).toMatch(new RegExp(`^  ${command} .+`, 'm'));
  expect(await rnd1(['help'])).toEqual(asked);
  expect(await rnd1(['help', 'help'])).toEqual(asked);
  expect(await rnd1([])).toEqual({ code: 2, stdout: '', stderr: asked.stdout });
});

test.each(commands)('%s has a manual of options, output, exit codes and examples', async (command) => {
  const { code, stdout, stderr } = await rnd1([command, '--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(await manualOf(command)).toBe(stdout);
  const hub = ['--revision', '--cache-dir', '--token'];
  const running = [...hub, '--model', '--device', '--threads', '--no-mmap'];
  const others: Record<string, string[]> = {
    download: [...hub, '<repo>'],
    completion: ['bash', 'zsh', 'fish'],
    list: ['--cache-dir', '--json'],
    remove: ['--cache-dir', '--yes', '<name...>'],
    plot: ['<run...>', '--out', '--value', '--smooth'],
    quantize: ['<in>', '<out>', '--dtype', '--threads'],
    init: ['<out>', '--config', '--tokenizer', '--dtype', '--seed'],
    convert: ['<in>', '<out>', '--reverse', '--mask-token-id', '--copy'],
    tokenize: ['<file...>', '--tokenizer', '--out'],
    train: ['[model]', '--data', '--recipe', '--resume', '--threads', '--lr-scale'],
  };
  const all = [`Usage: rnd1 ${command}`, 'Exit codes', 'Examples:'];
  for (const part of [...all, ...(others[command] ?? running)]) expect(stdout).toContain(part);
  // Every option has a description.
  const bare = createProgram()
    .commands.find((candidate) => candidate.name() === command)
    ?.options.filter((option) => !option.description);
  expect(bare).toEqual([]);
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
});

describe('the examples of the manuals run', () => {
  let folder = '';
  let hub: LocalHub;
  let queue: RedisServer | null = null;
  const exampleQueue = 'redis://127.0.0.1:6379';

  beforeAll(async () => {
    hub = await LocalHub.start();
    if (redisProgram === null)
      process.stderr.write(
        'SKIPPED: examples with a queue; there is neither redis-server nor valkey-server\n',
      );
    else queue = await RedisServer.start();
    // Stand-ins for large models, cached in advance because a download would print its progress.
    hub.add('radicalnumerics/RND1-Base-0910', shardedNano());
    hub.add('inclusionAI/LLaDA-MoE-7B-A1B-Instruct', instructTwin());
    folder = mkdtempSync(join(tmpdir(), 'rnd1-manual-'));
    mkdirSync(join(folder, 'bin'));
    const shim = `#!/bin/sh\nexec "${process.execPath}" "${join(root, 'dist/cli/main.js')}" "$@"\n`;
    writeFileSync(join(folder, 'bin', 'rnd1'), shim, { mode: 0o755 });
    symlinkSync(join(root, 'models'), join(folder, 'models'));
    symlinkSync(join(root, 'examples'), join(folder, 'examples'));
    copyFileSync(join(root, 'examples', 'puzzle.txt'), join(folder, 'puzzle.txt'));
    writeFileSync(join(folder, 'question.txt'), 'What is 47+38?\n');
    const sizes = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, num_experts: 4 };
    writeFileSync(join(folder, 'sizes.json'), JSON.stringify(sizes));
    const sums = Array.from({ length: 400 }, (_, i) => JSON.stringify({ text: `${i}+1=${i + 1}` }));
    writeFileSync(join(folder, 'corpus.jsonl'), sums.join('\n'));
    for (const run of ['ar', 'scp']) {
      mkdirSync(join(folder, 'runs', run), { recursive: true });
      const line = { step: 1, tokens: 64, masked_ce: 5, learning_rate: 1e-3 };
      writeFileSync(join(folder, 'runs', run, 'metrics.jsonl'), `${JSON.stringify(line)}\n`);
    }
    await rnd1(['download', 'radicalnumerics/RND1-Base-0910'], { env: environment() });
    await rnd1(['download', 'inclusionAI/LLaDA-MoE-7B-A1B-Instruct'], { env: environment() });
  });
  afterAll(async () => {
    await hub.close();
    await queue?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const environment = () => ({
    PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
    HF_ENDPOINT: hub.url,
    HF_HUB_CACHE: join(folder, 'cache'),
    HF_HUB_OFFLINE: '',
  });

  test.each(['', ...commands])('rnd1 help %s', async (command) => {
    const { stdout } = command === '' ? await rnd1(['--help']) : await rnd1(['help', command]);
    // A backslash continues a long example on the next line.
    const lines = stdout.replaceAll(/ \\\n +/g, ' ').split('\n');
    const examples = lines.flatMap((line) => /^ {2}\$ (.+)$/.exec(line)?.[1] ?? []);
    expect(examples.length).toBeGreaterThan(0);
    // A server runs until a signal ends it, and logs JSON; PORT 0 selects a free port.
    const env = { ...environment(), PORT: '0' };
    // Removes the logs of a server and the lines of --verbose.
    const unexpected = (stderr: string) =>
      stderr.replace(
        /^(\{.*\}|step .*|rnd1: (model|tokenizer|device|why there|weights|loading): .+|rnd1: \d+ tokens in .+|rnd1: waiting for lines of .+)\n/gm,
        '',
      );
    for (const example of examples) {
      const needsQueue = example.includes(exampleQueue);
      if (needsQueue && queue === null) continue;
      const here = example
        .replace(exampleQueue, queue?.url ?? '')
        .replace('--exit-when-idle 60', '--exit-when-idle 1');
      const outcome = await start('bash', ['-c', here], {
        cwd: folder,
        env,
        onOutput: (stdout, kill) => {
          if (stdout.includes('(Ctrl-C ends it)')) kill('SIGTERM');
        },
      });
      expect({ example, code: outcome.code, stderr: unexpected(outcome.stderr) }).toEqual({
        example,
        code: 0,
        stderr: '',
      });
      expect(outcome.stdout).not.toBe('');
    }
  });
});

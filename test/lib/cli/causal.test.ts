import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { jsonLines, nano, rnd1, root, scratchFolder } from './rnd1';

const scratch = scratchFolder();
let model = '';

// A causal model with a tokenizer whose ids are all in its vocabulary.
beforeAll(() => {
  model = scratch('causal');
  cpSync(join(root, 'test', 'fixtures', 'families', 'tiny-qwen3'), model, { recursive: true });
  cpSync(join(nano, 'tokenizer.json'), join(model, 'tokenizer.json'));
});

test('generates from a text and from tokens', async () => {
  const text = await rnd1(['generate', 'Hello', '--model', model, '-n', '6', '--json', '--no-stop-at-eos']);
  expect(text).toMatchObject({ code: 0, stderr: '' });
  const lines = jsonLines(text.stdout);
  expect(lines.at(-1)).toMatchObject({ steps: 6, forwards: 6, finishReason: 'length' });
  const tokens = await rnd1(['generate', '--tokens', '319,212,17', '--model', model, '-n', '4']);
  expect(tokens.stdout).toMatch(/^\d+,\d+,\d+,\d+\n$/);
});

test('stops at an EOS token, and prints nothing after it', async () => {
  const args = ['generate', '--tokens', '319,212,17', '--model', model, '-n', '8'];
  const all = (await rnd1(args)).stdout.trim().split(',');
  const { stdout } = await rnd1([...args, '--eos-token-id', all[2] as string]);
  expect(stdout.trim().split(',')).toEqual(all.slice(0, all.indexOf(all[2] as string) + 1));
});

test('fills in nothing', async () => {
  const text = await rnd1(['fill', 'a ___ b', '--model', model]);
  expect(text).toMatchObject({ code: 1, stdout: '' });
  expect(text.stderr).toContain('Qwen3 writes from left to right: it generates, but cannot fill in text');
  const tokens = await rnd1(['fill', '--tokens', '1,2,_,3', '--model', model]);
  expect(tokens).toMatchObject({ code: 2, stdout: '' });
  expect(tokens.stderr).toContain('masked must be the last positions of the canvas');
});

test('takes no end that it would have to know before the text', async () => {
  const { code, stderr } = await rnd1([
    'generate',
    '--tokens',
    '1,2',
    '--model',
    model,
    '-n',
    '4',
    '--add-eos',
  ]);
  expect(code).toBe(2);
  expect(stderr).toContain('--add-eos cannot be given: the model writes from left to right');
});

test('is inspected without a number of steps', async () => {
  const { stdout } = await rnd1(['inspect', model]);
  expect(stdout).toContain('causal');
  expect(stdout).not.toContain('default steps');
});

test('a bench measures passes that predict the next token', async () => {
  const args = ['bench', '--model', model, '--lengths', '16', '--runs', '1', '--write', '4'];
  const { code, stdout } = await rnd1(args);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^- writing: 4 tokens in 4 steps, /m);
  expect(stdout).toMatch(/^\| random, last scored \| +16 \| /m);
});

import { DiffusionLM } from '../../../../lib';
import { createServer, type Server } from '../../../../lib/server';
import { commandOf, curlOf, javascriptOf, notationOf, quoted } from '../../../../lib/server/page/code.js';
import type { DenoiseRequest, ServedModel } from '../../../../lib/server/page/contract';
import { EventStreamParser } from '../../../../lib/server/page/event-stream.js';
import { examplesFor } from '../../../../lib/server/page/examples.js';
import { type Form, requestOf } from '../../../../lib/server/page/request.js';
import { makePuzzle } from '../../../../lib/server/page/sudoku.js';
import { random } from '../../../support/random';
import { start } from '../../cli/rnd1';

const root = `${__dirname}/../../../..`;
let model: DiffusionLM;
let server: Server;
let url = '';
let served: ServedModel;
beforeAll(async () => {
  model = await DiffusionLM.load();
  server = await createServer(model);
  url = await server.listen({ port: 0 });
  const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: [ServedModel] };
  [served] = data;
});
afterAll(async () => {
  await server?.close();
  await model?.dispose();
});

/** The text of a run, from its events. */
const textOf = (events: string) => {
  const end = new EventStreamParser().push(events).find(({ event }) => event === 'end');
  return (JSON.parse(end?.data ?? '{}').text as string).replaceAll(/<\|[^|<>]*\|>/g, '');
};

const shell = async (command: string) => {
  const { code, stdout, stderr } = await start('sh', ['-c', command], { cwd: root });
  expect({ code, stderr: stderr.replace(/^\s*%[\s\S]*$/m, '') }).toEqual({ code: 0, stderr: '' });
  return stdout;
};

const puzzle = makePuzzle(4, 8, random(1));
const form = (fields: Partial<Form>): Form => ({ ...examplesFor(served).fields, puzzle, ...fields });

test.each<[string, Partial<Form>]>([
  ['a prompt', {}],
  [
    'every setting',
    {
      prompt: 'Sort z k m q',
      maxTokens: '20',
      steps: '5',
      schedule: 'threshold',
      tau: '70',
      blocks: '10',
      temperature: '2.5',
      seed: '18446744073709551615',
    },
  ],
  [
    'quotes and line breaks',
    { prompt: `It's "so"\n$HOME \\n 'x'`, maxTokens: '10', schedule: 'margin', steps: '' },
  ],
  ['a hyphen', { prompt: '-', seed: '3', temperature: '1' }],
  ['hyphens', { prompt: '--help', seed: '3', temperature: '1' }],
  [
    'holes',
    { mode: 'holes', steps: '', text: `Question: Reverse di___mo___d\nAnswer: dnomaid`, tokensPerHole: '1' },
  ],
  ['a Sudoku', { mode: 'sudoku', steps: '8' }],
])('%s in three languages gives what the page gives', async (_, fields) => {
  const request: DenoiseRequest = requestOf(form(fields));
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/v1/denoise`, { method: 'POST', headers, body: JSON.stringify(request) });
  const expected = textOf(await answer.text()).trim();
  expect(expected).not.toBe('');
  const script = javascriptOf(request, served);
  const node = await start(process.execPath, ['-e', script], { cwd: root });
  expect([node.code, node.stderr, plain(node.stdout)]).toEqual([0, '', plain(expected)]);
  expect(plain(await shell(commandOf(request, served)))).toBe(plain(expected));
  const curl = curlOf(request, { url: `${url}/`, key: false });
  if ((await start('sh', ['-c', 'command -v curl'], {})).code === 0) {
    expect(plain(textOf(await shell(curl.replace('curl -N', 'curl -sN'))))).toBe(plain(expected));
  }
  // Also without curl: how the shell parses the command.
  const words = JSON.parse(
    await shell(`node -p 'JSON.stringify(process.argv.slice(1))' -- ${curl.replaceAll('\\\n', '')}`),
  );
  expect(words.slice(0, 3)).toEqual(['curl', '-N', `${url}/v1/denoise`]);
  expect(JSON.parse(words.at(-1))).toEqual(JSON.parse(JSON.stringify(request)));
});

/** The text without surrounding white space and special tokens, which a terminal does not show. */
const plain = (text: string) => text.replaceAll(/<\|[^|<>]*\|>/g, '').trim();

test('a key is never written out, and other models are named by a place', () => {
  const request = requestOf(form({}));
  expect(curlOf(request, { url: 'http://host/', key: true })).toContain(
    '"Authorization: Bearer $RND1_API_KEY"',
  );
  const other = { id: 'RND1-Base', embedded: false, reserves_end: false };
  expect(javascriptOf(request, other)).toContain("DiffusionLM.load('path/to/RND1-Base')");
  expect(commandOf(request, other)).toContain('--model path/to/RND1-Base');
  expect(commandOf(request, other)).toContain('--max-new-tokens 31');
  expect(commandOf(request, served)).toContain('--max-new-tokens 32');
});

test.each([
  ['abc/1.5,x=y', 'abc/1.5,x=y'],
  ["it's", `'it'\\''s'`],
  ['', "''"],
])('a word of a shell: %j', (word, expected) => expect(quoted(word)).toBe(expected));

test('schedules in the notation of the command line', () => {
  expect(notationOf({ type: 'blocks', length: 8, schedule: { type: 'threshold', tau: 0.9 } })).toBe(
    'blocks=8:threshold=0.9',
  );
  expect(notationOf('random')).toBe('random');
});

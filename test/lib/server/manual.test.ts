import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createProgram } from '../../../lib/cli/program';
import { DiffusionLM } from '../../../lib/index';
import { createServer, type Server } from '../../../lib/server';
import { root, start } from '../cli/rnd1';

// Runs the examples of docs/server.md against a server on another port.

const manual = readFileSync(join(root, 'docs', 'server.md'), 'utf8');
const blocks = (language: string) =>
  [...manual.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, code]) => code as string,
  );

let model: DiffusionLM;
let server: Server;
let url = '';

beforeAll(async () => {
  model = await DiffusionLM.load();
  server = await createServer(model, { page: false });
  url = await server.listen({ port: 0 });
});
afterAll(async () => {
  await server.close();
  await model.dispose();
});

const here = (code: string) => code.replaceAll('http://127.0.0.1:8080', url);

test('the commands that ask a server', async () => {
  const commands = blocks('sh').flatMap((block) =>
    block.split('\n').filter((line) => line.startsWith('curl')),
  );
  expect(commands).toHaveLength(1);
  const { code, stdout } = await start('bash', ['-c', here(commands[0] as string)]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    text: 'Question: Reverse diamond\nAnswer: dnomaid',
    written: ['a', 'n'],
  });
});

test('the programs', async () => {
  const [client, own] = blocks('js') as [string, string];
  const asked = await start(process.execPath, [
    '--input-type=module',
    '-e',
    `${here(client)}\nconsole.log(answer.choices[0].message.content, answer.seed);`,
  ]);
  expect(asked).toEqual({ code: 0, stdout: '85 7\n', stderr: '' });
  expect(await start(process.execPath, ['-e', own])).toEqual({ code: 0, stdout: '200\n', stderr: '' });
});

test('it names every flag of the command and every metric', async () => {
  const command = createProgram().commands.find((each) => each.name() === 'serve');
  const common = [
    '--model',
    '--device',
    '--dtype',
    '--threads',
    '--mmap',
    '--revision',
    '--cache-dir',
    '--token',
    '--help',
    '--name',
    '--page',
    '--chat-template',
  ];
  const flags = command?.options.map(({ long }) => (long as string).replace('--no-', '--')) ?? [];
  expect(flags.filter((flag) => !common.includes(flag) && !manual.includes(`\`${flag}\``))).toEqual([]);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const names = [...metrics.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name as string);
  expect(names.length).toBeGreaterThan(8);
  expect(names.filter((name) => !manual.includes(`\`${name}`))).toEqual([]);
});

test('an OpenAPI document describes every path and field', async () => {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as {
    openapi: string;
    paths: Record<string, Record<string, { summary?: string; requestBody?: object }>>;
  };
  expect(document.openapi).toBe('3.1.0');
  expect(Object.keys(document.paths).sort()).toEqual([
    '/healthz',
    '/metrics',
    '/readyz',
    '/v1/chat/completions',
    '/v1/completions',
    '/v1/denoise',
    '/v1/fill',
    '/v1/infill',
    '/v1/models',
    '/v1/models/{model}',
  ]);
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  expect(operations.filter(({ summary }) => !summary)).toEqual([]);
  const post = document.paths['/v1/chat/completions']?.post as { requestBody?: object };
  expect(JSON.stringify(post.requestBody)).toContain('"max_completion_tokens"');
});

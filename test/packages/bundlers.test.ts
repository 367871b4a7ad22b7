import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Configuration, webpack } from 'webpack';
import { platformPackage } from '../../lib/runtime/platform';

// A program that a bundler has taken rnd1 into, run by Node.js. test/packages/install.test.ts has esbuild.

const root = resolve(__dirname, '../..');
const own = platformPackage(process);
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

// The library, the server with its page, and the template and tokens that a chat takes.
const program = `
import { DiffusionLM } from 'rnd1';
import { createServer } from 'rnd1/server';
async function main() {
  const model = await DiffusionLM.load();
  const server = await createServer(model);
  const page = await server.app.inject({ method: 'GET', url: '/' });
  const payload = { messages: [{ role: 'user', content: 'What is 47+38?' }], max_tokens: 32 };
  const chat = await server.app.inject({ method: 'POST', url: '/v1/chat/completions', payload });
  await server.close();
  await model.dispose();
  process.stdout.write(page.statusCode + ' ' + JSON.parse(chat.body).choices?.[0].message.content.trim());
}
main().catch((error) => { console.error(error.message); process.exitCode = 1; });
`;

let folder = '';

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'rnd1-bundlers-')));
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, own), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules')))
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  for (const part of ['dist', 'models', 'package.json'])
    cpSync(join(root, part), join(modules, 'rnd1', part), { recursive: true });
  copyFileSync(join(root, 'build/Release/rnd1.node'), join(modules, own, 'rnd1.node'));
  writeFileSync(
    join(modules, own, 'package.json'),
    JSON.stringify({ name: own, version, main: './rnd1.node' }),
  );
  writeFileSync(join(folder, 'app.mjs'), program);
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (file: string) =>
  execFileSync(process.execPath, [join(folder, 'out', file)], { cwd: tmpdir(), encoding: 'utf8' });

/** Bundles by webpack; every warning is an error. */
async function bundle(configuration: Configuration): Promise<void> {
  const whole = {
    context: folder,
    mode: 'production',
    target: 'node',
    entry: './app.mjs',
    optimization: { minimize: false },
    ...configuration,
  } as const;
  const problems = await new Promise<string[]>((done, failed) => {
    const compiler = webpack(whole, (error, stats) => {
      const { errors = [], warnings = [] } =
        stats?.toJson({ all: false, errors: true, warnings: true }) ?? {};
      const said = [...errors, ...warnings].map(({ message }) => message);
      compiler?.close(() => (error ? failed(error) : done(said)));
    });
  });
  expect(problems).toEqual([]);
}

test('webpack makes a CommonJS bundle that answers', async () => {
  await bundle({ output: { path: join(folder, 'out'), filename: 'webpack.cjs' } });
  expect(run('webpack.cjs')).toBe('200 85');
}, 120_000);

test('webpack makes an ES module that answers', async () => {
  await bundle({
    experiments: { outputModule: true },
    output: { path: join(folder, 'out'), filename: 'webpack.mjs', module: true, library: { type: 'module' } },
  });
  expect(run('webpack.mjs')).toBe('200 85');
}, 120_000);

// In a process of its own: vite is an ES module, which jest would have to be told to load.
test.each([
  ['leaves rnd1 external by itself', undefined],
  ['takes rnd1 in where it is told to', true],
])(
  'vite (SSR) %s, and the program answers',
  (_how, noExternal) => {
    const options = {
      root: folder,
      configFile: false,
      logLevel: 'warn',
      build: { ssr: 'app.mjs', outDir: 'out/vite', emptyOutDir: true },
      ssr: { noExternal },
    };
    const script = `import { build } from 'vite'; await build(${JSON.stringify(options)});`;
    execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: folder, encoding: 'utf8' });
    const text = readFileSync(join(folder, 'out/vite/app.mjs'), 'utf8');
    expect(/from ["']rnd1["']/.test(text)).toBe(noExternal === undefined);
    expect(run('vite/app.mjs')).toBe('200 85');
  },
  120_000,
);

test('a bundle beside which rnd1 is not installed says so', async () => {
  await bundle({ output: { path: join(folder, 'out'), filename: 'alone.cjs' } });
  const elsewhere = mkdtempSync(join(tmpdir(), 'rnd1-alone-'));
  copyFileSync(join(folder, 'out/alone.cjs'), join(elsewhere, 'alone.cjs'));
  cpSync(join(root, 'models/nano'), join(elsewhere, 'models/nano'), { recursive: true });
  let said = '';
  try {
    execFileSync(process.execPath, ['alone.cjs'], { cwd: elsewhere, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    said = (error as { stderr: string }).stderr;
  }
  rmSync(elsewhere, { recursive: true, force: true });
  expect(said).toContain('A bundler included rnd1 in this program');
  expect(said).toContain(`install rnd1 ${version} and ${own} ${version} where the bundle runs.`);
}, 120_000);

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { platformPackage, prebuiltFor } from '../../lib/runtime/platform';
import { capture, captureTool } from '../../scripts/command';
import { nativeProgramsUnavailable } from '../../scripts/native-programs';
import { readElf } from '../../scripts/packaging/elf';
import { type Manifest, platformManifest } from '../../scripts/packaging/manifests';
import { BareMachine, type Finished } from './program';
import { type Registry, startRegistry } from './registry';

// The packages as they are published, installed by npm from a registry of this machine: no scripts, no tools.

const root = resolve(__dirname, '../..');
const checkout = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest & {
  version: string;
};
const { version } = checkout;
const own = platformPackage(process);
/** The build folder to take the addon from; a release tries what it is about to publish. */
const buildFolder = process.env.RND1_TEST_BUILD ?? 'build';

const question = `
  const model = await DiffusionLM.load();
  const { text } = await model.generate('What is 47+38?', { maxNewTokens: 32, steps: 16, seed: 1 });
  await model.dispose();
  process.stdout.write(text);
`;

const files = {
  'package.json': '{ "private": true }',
  'ask.cjs': `const { DiffusionLM } = require('rnd1');\n(async () => {${question}})();`,
  'ask.mjs': `import { DiffusionLM } from 'rnd1';\n${question}`,
  'thread.mjs': `import { Worker } from 'node:worker_threads';
new Worker(new URL('./ask.mjs', import.meta.url));`,
  'bundled.mjs': `import { DiffusionLM } from 'rnd1';\n(async () => {${question}})();`,
  // Without a port: what a request to / and one of a client would get.
  'serve.mjs': `import { DiffusionLM } from 'rnd1';
import { createServer } from 'rnd1/server';
const model = await DiffusionLM.load();
const server = await createServer(model);
const payload = { model: 'nano', prompt: 'Question: What is 47+38?\\nAnswer:', max_tokens: 32 };
const { body } = await server.app.inject({ method: 'POST', url: '/v1/completions', payload });
await server.close();
await model.dispose();
process.stdout.write(JSON.parse(body).choices[0].text);`,
  'names.mjs': `import { createRequire } from 'node:module';
import * as imported from 'rnd1';
const required = createRequire(import.meta.url)('rnd1');
const names = Object.keys(imported).filter((name) => name !== 'default' && name !== 'module.exports');
process.stdout.write(JSON.stringify({
  imported: names.sort(),
  required: Object.keys(required).sort(),
  same: names.every((name) => imported[name] === required[name]),
}));`,
  // The second call must not compile: types that resolve to \`any\` would let it.
  'typed.mts': `import { DiffusionLM, type TextResult } from 'rnd1';
export const ask = async (model: DiffusionLM): Promise<TextResult> => model.generate('a prompt', { steps: 4 });
// @ts-expect-error
export const wrong = async (model: DiffusionLM): Promise<TextResult> => model.generate(4);
`,
  'typed.cts': `import rnd1 = require('rnd1');
export const load = async (): Promise<rnd1.DiffusionLM> => rnd1.DiffusionLM.load('folder', { device: 'cpu', threads: 2 });
// @ts-expect-error
export const wrong = async (): Promise<rnd1.DiffusionLM> => rnd1.DiffusionLM.load('folder', { device: 'abacus' });
`,
  'tsconfig.json': JSON.stringify({
    compilerOptions: {
      module: 'node16',
      target: 'ES2022',
      strict: true,
      noEmit: true,
      types: [],
    },
    files: ['typed.mts', 'typed.cts'],
  }),
};

const json = (file: string) => JSON.parse(readFileSync(file, 'utf8'));

function packagesInAnEmptyFolder(): void {
  let folder = '';
  let registry: Registry | undefined;
  let machine: BareMachine;
  let printed = '';
  let app = '';
  /** The answer of the checkout's own build. */
  const answer = '85';

  beforeAll(async () => {
    for (const built of ['dist/index.js', `${buildFolder}/CMakeCache.txt`])
      if (!existsSync(join(root, built))) throw new Error(`${built} is missing: npm run build makes it`);
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'rnd1-packages-')));
    const tarballs = join(folder, 'tarballs');
    const made = captureTool('tsx/dist/cli.mjs', [
      'scripts/package.ts',
      '--build',
      buildFolder,
      '--out',
      tarballs,
    ]);
    if (!made.ok) throw new Error(made.output);
    printed = made.output;
    registry = await startRegistry(root, [
      { manifest: json(join(tarballs, 'rnd1/package.json')), source: join(tarballs, `rnd1-${version}.tgz`) },
      {
        manifest: json(join(tarballs, own, 'package.json')),
        source: join(tarballs, `${own}-${version}.tgz`),
      },
      ...prebuiltFor
        .map((name) => platformManifest(checkout, ...(name.split('-') as [string, string])))
        .filter(({ name }) => name !== own)
        .map((manifest) => ({ manifest, source: null })),
    ]);
    machine = new BareMachine(folder);
    app = await install('app', []);
  }, 300_000);

  afterAll(async () => {
    await registry?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  async function install(name: string, options: readonly string[]): Promise<string> {
    const place = join(folder, name);
    mkdirSync(place);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(place, file), text);
    const { code, stderr } = await machine.install(['rnd1', ...options], registry?.url as string, place);
    if (code !== 0) throw new Error(stderr);
    return place;
  }

  const answered = (finished: Finished) =>
    expect(finished).toEqual({ code: 0, stdout: expect.stringMatching(`^ ?${answer}`), stderr: '' });

  test('bring the addon for this platform and no other', () => {
    expect(json(join(app, 'package.json')).dependencies).toEqual({ rnd1: `^${version}` });
    const modules = readdirSync(join(app, 'node_modules')).filter((name) => name.startsWith('rnd1'));
    expect(modules.sort()).toEqual(['rnd1', own]);
    expect(registry?.requests).toContain(`/${own}/-/${version}.tgz`);
    const others = prebuiltFor
      .map((name) => `/rnd1-${name}/-/${version}.tgz`)
      .filter((path) => !path.includes(own));
    expect(registry?.requests.filter((path) => others.includes(path))).toEqual([]);
  });

  test('have no scripts, and no compiler among what they depend on', () => {
    const main = json(join(app, 'node_modules/rnd1/package.json'));
    expect(main).toMatchObject({ name: 'rnd1', version, gypfile: false });
    expect(Object.keys(main)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(scripts|devDependencies|private|binary)$/)]),
    );
    expect(main.optionalDependencies).toEqual(
      Object.fromEntries(prebuiltFor.map((name) => [`rnd1-${name}`, version])),
    );
    expect(json(join(app, 'node_modules', own, 'package.json'))).toMatchObject({
      name: own,
      version,
      os: [process.platform],
      cpu: [process.arch],
      main: './rnd1.node',
    });
    const lock = json(join(app, 'package-lock.json')) as {
      packages: Record<string, { hasInstallScript?: true }>;
    };
    const names = Object.keys(lock.packages).map((path) => path.split('node_modules/').at(-1) as string);
    expect(names.filter((name) => /gyp|cmake|prebuild|node-addon-api|^tsx$|^typescript$/.test(name))).toEqual(
      [],
    );
    const scripted = Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript);
    expect(scripted).toEqual([]);
  });

  test('carry the built files, the embedded model and the license, and nothing else', () => {
    const filesOf = (name: string) =>
      readdirSync(join(app, 'node_modules', name), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(join(app, 'node_modules', name).length + 1));
    expect(filesOf(own).sort()).toEqual(['LICENSE', 'README.md', 'build.json', 'package.json', 'rnd1.node']);
    const main = filesOf('rnd1');
    for (const file of [
      'LICENSE',
      'README.md',
      'dist/index.d.mts',
      'dist/index.d.ts',
      'dist/index.js',
      'dist/index.mjs',
      'dist/cli/main.js',
      'dist/evaluation/index.d.mts',
      'dist/evaluation/index.js',
      'dist/evaluation/index.mjs',
      'dist/server/index.d.mts',
      'dist/server/index.js',
      'dist/server/index.mjs',
      'dist/server/page/index.html',
      'dist/server/page/main.js',
      'models/nano/config.json',
      'models/nano/model.safetensors',
      'models/nano/tokenizer.json',
      'package.json',
      'types/native.d.ts',
    ])
      expect(main).toContain(file);
    const allowed =
      /^(LICENSE|README\.md|package\.json|types\/native\.d\.ts|models\/nano\/[\w.]+|dist\/[\w/-]+\.(js|mjs|js\.map|d\.ts|d\.mts)|dist\/server\/page\/[\w-]+\.(html|css|svg))$/;
    expect(main.filter((file) => !allowed.test(file))).toEqual([]);
  });

  test('record what is inside', () => {
    const record = json(join(app, 'node_modules', own, 'build.json'));
    const addon = readFileSync(join(app, 'node_modules', own, 'rnd1.node'));
    const { compiledInstructionSets } = require(join(root, 'build/Release/rnd1.node')).system();
    expect(record).toMatchObject({
      name: own,
      version,
      compilers: expect.arrayContaining([expect.stringMatching(/^\w+ \d+\./)]),
      bytes: addon.length,
      instructionSets: compiledInstructionSets,
    });
    expect(record.commit ?? '0'.repeat(40)).toMatch(/^[0-9a-f]{40}(\+changes)?$/);
    expect(record.libraries.filter((name: string) => /cuda|nv|stdc\+\+/.test(name))).toEqual([]);
    if (process.platform === 'linux')
      expect(readElf(addon).hardening).toEqual({
        relro: true,
        bindNow: true,
        executableStack: false,
        noDelete: true,
      });
    if (process.platform === 'linux') expect(record.glibc).toMatch(/^2\.(1?\d|2[0-8])$/);
    const shown = [own, ...record.instructionSets, ...(record.cuda?.architectures ?? []), record.glibc ?? ''];
    for (const text of shown) expect(printed).toContain(text);
    expect(printed).not.toContain('note:');
    expect(readFileSync(join(app, 'node_modules', own, 'README.md'), 'utf8')).toContain(
      record.instructionSets.join(', '),
    );
  });

  test('answer through require', async () => answered(await machine.node(['ask.cjs'], app)));

  test('answer through import', async () => answered(await machine.node(['ask.mjs'], app)));

  test('answer over HTTP', async () => answered(await machine.node(['serve.mjs'], app)));

  test('answer in a worker thread', async () => answered(await machine.node(['thread.mjs'], app)));

  test.each(['cjs', 'esm'] as const)('answer when bundled by esbuild as %s', async (format) => {
    const outfile = join(app, 'out', `bundle.${format === 'cjs' ? 'cjs' : 'mjs'}`);
    // What esbuild's own documentation advises for packages that use require, in a bundle that has none.
    const js = `import { createRequire } from 'node:module'; import { fileURLToPath } from 'node:url';
const require = createRequire(import.meta.url); const __dirname = fileURLToPath(new URL('.', import.meta.url));
const __filename = fileURLToPath(import.meta.url);`;
    const { warnings, metafile } = await build({
      absWorkingDir: app,
      entryPoints: ['bundled.mjs'],
      bundle: true,
      platform: 'node',
      format,
      banner: format === 'esm' ? { js } : {},
      outfile,
      metafile: true,
      logLevel: 'silent',
    });
    expect(warnings).toEqual([]);
    const inputs = Object.keys(metafile?.inputs ?? {});
    expect(inputs).toContain('node_modules/rnd1/dist/diffusion-lm.js');
    expect(inputs.filter((file) => file.endsWith('.node'))).toEqual([]);
    answered(await machine.node([outfile], app));
  });

  test('export the same names to require and import', async () => {
    const { imported, required, same } = JSON.parse((await machine.node(['names.mjs'], app)).stdout);
    expect(imported).toEqual(expect.arrayContaining(['DiffusionLM', 'RND1Error', 'scoreAndUnmask']));
    expect(imported).toEqual(required);
    expect(same).toBe(true);
  });

  test('have types for both', async () => {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    expect((await machine.node([tsc, '-p', '.'], app)).stdout).toBe('');
  });

  test('have a command', async () => {
    const command = realpathSync(join(app, 'node_modules', '.bin', 'rnd1'));
    expect((await machine.node([command, '--version'], app)).stdout.trim()).toBe(version);
  });

  test('say where the addon was looked for and what to do, where npm left it out', async () => {
    const place = await install('without', ['--omit=optional']);
    expect(readdirSync(join(place, 'node_modules'))).not.toContain(own);
    const { code, stderr } = await machine.node(['ask.cjs'], place);
    expect(code).toBe(1);
    expect(stderr).toContain("code: 'addon_not_found'");
    expect(stderr).toContain(
      `The native addon of rnd1 ${version} cannot be loaded on ${process.platform}-${process.arch}`,
    );
    expect(stderr).toContain(`  package ${own}: Cannot find module '${own}/package.json'`);
    expect(stderr).toContain(`Remedy: install ${own} ${version} beside rnd1.`);
    expect(stderr).toContain('--omit=optional');
  }, 180_000);
}

const unavailable = nativeProgramsUnavailable();
if (unavailable === null) {
  describe('the packages, installed in an empty folder', packagesInAnEmptyFolder);
} else {
  console.warn(`The tests of the packages are SKIPPED on this machine: ${unavailable}`);
  test('the packages are tested only where CMake is installed', () => {
    expect(nativeProgramsUnavailable()).not.toBeNull();
  });
}

test('the folder of a built checkout can be required', () => {
  const script = `const { DiffusionLM } = require(${JSON.stringify(root)}); process.stdout.write(typeof DiffusionLM.load);`;
  expect(capture(process.execPath, ['-e', script], tmpdir()).output).toBe('function');
});

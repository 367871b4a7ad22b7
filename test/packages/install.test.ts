import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const root = resolve(__dirname, '..');
const windows = process.platform === 'win32';
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

/** Runs a program and returns what it prints; its stderr is part of the error when it fails. */
async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { stdout } = await promisify(execFile)(program, [...args], {
    cwd,
    maxBuffer: 1 << 26,
    shell: windows,
  });
  return stdout;
}

const question = `
  const model = await RND1.load();
  const { text } = await model.generate('What is 47+38?', { maxNewTokens: 32, steps: 16, seed: 1 });
  await model.dispose();
  process.stdout.write(text);
`;

const files = {
  'package.json': '{ "private": true }',
  'ask.cjs': `const { RND1 } = require('rnd1');\n(async () => {${question}})();`,
  'ask.mjs': `import { RND1 } from 'rnd1';\n${question}`,
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
  'typed.mts': `import { RND1, type TextResult } from 'rnd1';
export const ask = async (model: RND1): Promise<TextResult> => model.generate('a prompt', { steps: 4 });
// @ts-expect-error
export const wrong = async (model: RND1): Promise<TextResult> => model.generate(4);
`,
  'typed.cts': `import rnd1 = require('rnd1');
export const load = async (): Promise<rnd1.RND1> => rnd1.RND1.load('folder', { device: 'cpu', threads: 2 });
// @ts-expect-error
export const wrong = async (): Promise<rnd1.RND1> => rnd1.RND1.load('folder', { device: 'abacus' });
`,
  'tsconfig.json': JSON.stringify({
    compilerOptions: {
      module: 'node16',
      target: 'ES2022',
      lib: ['ES2022', 'ESNext.Disposable', 'DOM'],
      strict: true,
      noEmit: true,
      types: [],
    },
    files: ['typed.mts', 'typed.cts'],
  }),
};

describe('the packed package, installed in an empty folder', () => {
  let folder = '';
  let packed: string[] = [];

  beforeAll(async () => {
    for (const built of ['dist/index.js', 'build/Release/rnd1.node'])
      if (!existsSync(join(root, built))) throw new Error(`${built} is missing: npm run build makes it`);
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'rnd1-package-')));
    const listing = await run(
      'npm',
      ['pack', '--ignore-scripts', '--json', '--pack-destination', folder],
      root,
    );
    packed = (JSON.parse(listing) as { files: { path: string }[] }[]).flatMap((archive) =>
      archive.files.map(({ path }) => path),
    );
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) as string;
    await run(
      'npm',
      ['install', `./${tarball}`, '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'],
      folder,
    );
  }, 300_000);

  afterAll(() => {
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  test('runs no script when it is installed', () => {
    const manifest = JSON.parse(readFileSync(join(folder, 'node_modules/rnd1/package.json'), 'utf8'));
    expect(manifest.name).toBe('rnd1');
    const scripts = Object.keys(manifest.scripts);
    expect(scripts).toContain('prepare');
    expect(scripts.filter((name) => /^(pre|post)?(un)?install$/.test(name))).toEqual([]);
    // Without this, npm would run node-gyp wherever it finds a binding.gyp.
    expect(manifest.gypfile).toBe(false);
    expect(packed).not.toContain('binding.gyp');
  });

  test('carries the built files, the embedded model and the license, and nothing else', () => {
    for (const file of [
      'LICENSE',
      'README.md',
      'build/Release/rnd1.node',
      'dist/index.d.mts',
      'dist/index.d.ts',
      'dist/index.js',
      'dist/index.mjs',
      'dist/cli/main.js',
      'models/nano/config.json',
      'models/nano/model.safetensors',
      'models/nano/tokenizer.json',
      'package.json',
      'types/native.d.ts',
    ])
      expect(packed).toContain(file);
    const allowed =
      /^(LICENSE|README\.md|package\.json|build\/Release\/rnd1\.node|types\/native\.d\.ts|models\/nano\/[\w.]+|dist\/[\w/-]+\.(js|mjs|js\.map|d\.ts|d\.mts))$/;
    expect(packed.filter((file) => !allowed.test(file))).toEqual([]);
  });

  test('answers the same through require and import, with the embedded model', async () => {
    const required = await run(process.execPath, ['ask.cjs'], folder);
    const imported = await run(process.execPath, ['ask.mjs'], folder);
    expect(required).toContain('85');
    expect(imported).toBe(required);
  });

  test('exports the same names to require and import', async () => {
    const { imported, required, same } = JSON.parse(await run(process.execPath, ['names.mjs'], folder)) as {
      imported: string[];
      required: string[];
      same: boolean;
    };
    expect(imported).toEqual(expect.arrayContaining(['RND1', 'RND1Error', 'scoreAndUnmask']));
    expect(imported).toEqual(required);
    expect(same).toBe(true);
  });

  test('has types for both', async () => {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', '.'], { cwd: folder }).catch(
      (failure: { stdout: string }) => failure,
    );
    expect(stdout).toBe('');
  });

  test('has a command', async () => {
    const command = join(folder, 'node_modules', '.bin', windows ? 'rnd1.cmd' : 'rnd1');
    expect((await run(command, ['--version'], folder)).trim()).toBe(version);
  });
});

test('the folder of a built checkout can be required', async () => {
  const script = `const { RND1 } = require(${JSON.stringify(root)}); process.stdout.write(typeof RND1.load);`;
  expect(await run(process.execPath, ['-e', script], tmpdir())).toBe('function');
});

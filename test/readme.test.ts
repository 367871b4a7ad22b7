import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { rnd1, start } from './lib/cli/rnd1';
import { LocalHub } from './lib/hub/local-hub';
import { shardedNano } from './lib/hub/sharded-nano';
import { instructTwin } from './support/instruct-twin';

// Runs the commands and programs that the pages show: an outdated page fails here.

const root = resolve(__dirname, '..');
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
].filter((page) => page.endsWith('.md'));
const read = (page: string) => readFileSync(join(root, page), 'utf8');
const readme = read('README.md');

const { version, scripts, peerDependencies } = JSON.parse(read('package.json')) as {
  version: string;
  scripts: Record<string, string>;
  peerDependencies: Record<string, string>;
};
/** Files that `npm run package` writes on linux-x64, relative to a folder beside the clone. */
const tarballs = ['rnd1', 'rnd1-linux-x64'].map(
  (name) => `../rnd1/build-package/packages/${name}-${version}.tgz`,
);

/** Commands that are run elsewhere, or not at all, because their requirements are missing here; and where. */
const elsewhere: Record<string, string> = {
  'npm install && npm start': '.ci/run, in a fresh clone',
  'npm install && npm test': '.ci/run, in a fresh clone',
  'npm install': '.ci/run',
  'npm test': '.ci/run',
  'npm run typecheck': '.ci/run',
  'npm run lint': '.ci/run',
  'npm run format': '.ci/run, as format:check',
  'npm run build': 'before every npm test',
  'npm run clean': 'would take the addon away from the other tests',
  'npm run test:browser': '.ci/run, where a browser is',
  'npm run test:chaos': '.ci/run, where a server of Redis is',
  'npm run package': 'test/packages, and .ci/run',
  'npm run docs': '.ci/run, as docs:check',
  'npx jest test/lib': 'npm test',
  'npx jest test/training': 'npm test',
  'npx jest test/training/gradients': 'npm test',
  'npx jest test/lib/cli/train': 'npm test',
  'npx tsx bench/train.ts': 'test/bench, with one step of nano',
  '.ci/run': 'itself',
  'tsx scripts/build.ts --addon --node-gyp': '.ci/run',
  'tsx scripts/native-tests.ts --sanitize': '.ci/run',
  'tsx scripts/sanitized-addon.ts': '.ci/run',
  'npm run fuzz -- --minutes 60': '.ci/run, for seconds',
  'npx tsx bench/step.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/matmul.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/attention.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/experts.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/route.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/norms.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/score.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/scaling.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/serve.ts': 'test/bench, at sizes that take no time',
  'npx --no -- rnd1': 'test/packages: it needs a project where the package is installed',
  './rnd1 batch examples/batch.jsonl answers.jsonl': 'test/lib/cli/batch.test.ts: it writes a file',
  './rnd1 serve': 'test/lib/cli/serve.test.ts: it does not end by itself',
  './rnd1 serve --port 8081': 'likewise',
  './rnd1 remove inclusionAI/LLaDA-MoE-7B-A1B-Instruct --yes':
    'test/lib/cli/manual.test.ts: the other commands need the model',
  './rnd1 chat --model inclusionAI/LLaDA-MoE-7B-A1B-Instruct': 'test/lib/cli/chat.test.ts, in a terminal',
  'npx tsx bench/step.ts --model radicalnumerics/RND1-Base-0910': 'test/bench, on the embedded model',
  'npx tsx bench/make-checkpoint.ts FOLDER': 'test/bench, at sizes that take no space',
  'npx tsx bench/make-checkpoint.ts FOLDER --dtype q4 --layers 48 --vocabulary 151936':
    'test/bench, likewise',
  'npx tsx bench/large.ts FOLDER': 'test/bench, on the embedded model',
  'npx tsx bench/large.ts FOLDER --steps 8': 'test/bench, on the embedded model',
  'npx tsx bench/cache.ts': 'test/bench, on tiny models',
  'npx tsx bench/full-shape.ts': 'test/bench, on a tiny model',
  'npx tsx bench/quality.ts': 'test/bench, on few canvases',
  'npm run gpu-kit': '.ci/run, where nvcc is',
  'npm run gpu-kit -- --simulated': '.ci/run, in the rehearsal',
  'npx tsx scripts/gpu-kit/rehearse.ts': '.ci/run',
  'tsx scripts/emulated-tests.ts': '.ci/run',
  './rnd1 quantize "$(./rnd1 download radicalnumerics/RND1-Base-0910)" rnd1-base-q4m --dtype q4m':
    'test/lib/cli/quantize.test.ts: it writes a folder',
  "./rnd1 generate --model rnd1-base-q4m 'Why is the sky blue?' --max-new-tokens 64 --steps 32":
    'test/lib/cli/quantize.test.ts has the folder',
  [`npm install ${tarballs.join(' ')}`]: 'test/packages: from the same tarballs',
};

/** Needs a server; test/lib/server/manual.test.ts has one. */
const curl = /^curl .*127\.0\.0\.1:8080/;

/** In the reader's project: here it would replace the versions of package.json by newer ones. */
const installsPackages = /^npm install(?: -D)?((?: @?[a-z][\w/-]*)+)$/;

/** Fenced blocks: the info string after the fence, and what is inside. */
function blocksOf(text: string): { language: string; code: string; before: string }[] {
  return [...text.matchAll(/^(.*)\n^```(\w*)\n([\s\S]*?)^```$/gm)].map(
    ([, before = '', language = '', code = '']) => ({ language, code, before }),
  );
}

/** All commands of a page: lines of `sh` blocks, and code spans that begin like a command. */
function commandsOf(page: string): string[] {
  const text = read(page);
  const blocks = blocksOf(text).filter(({ language }) => language === 'sh');
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '');
  const spans = [...prose.matchAll(/`((?:npm|npx|tsx|\.ci\/run|\.\/rnd1 )[^`]*)`/g)].map(
    ([, span = '']) => span,
  );
  return [...blocks.flatMap(({ code }) => code.trim().split('\n')), ...spans];
}

const instructModel = 'inclusionAI/LLaDA-MoE-7B-A1B-Instruct';
let folder = '';
let hub: LocalHub;
const environment = () => ({ HF_ENDPOINT: hub.url, HF_HUB_CACHE: folder, HF_HUB_OFFLINE: '' });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-readme-'));
  hub = await LocalHub.start();
  // Tiny models replace the large ones. They are downloaded in advance, so that no progress is printed later.
  hub.add('radicalnumerics/RND1-Base-0910', shardedNano());
  hub.add(instructModel, instructTwin());
  for (const name of ['radicalnumerics/RND1-Base-0910', instructModel]) {
    await rnd1(['download', name], { env: environment() });
  }
});
afterAll(async () => {
  await hub.close();
  rmSync(folder, { recursive: true, force: true });
});

test('the README shows the two lines for a fresh machine', () => {
  const blocks = blocksOf(readme).filter(({ language }) => language === 'sh');
  expect(blocks.map(({ code }) => code)).toEqual(
    expect.arrayContaining(['npm install && npm start\n', 'npm install && npm test\n']),
  );
});

describe('every command', () => {
  const commands = [...new Set(pages.flatMap(commandsOf))].filter(
    (command) => elsewhere[command] === undefined && !curl.test(command) && !installsPackages.test(command),
  );

  test.each(commands)(
    '%s',
    async (command) => {
      const { code, stdout, stderr } = await start('bash', ['-c', command], {
        cwd: root,
        env: environment(),
        timeout: 170_000,
      });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).not.toBe('');
    },
    180_000,
  );

  test('that is run elsewhere is on some page', () => {
    const all = new Set(pages.flatMap(commandsOf));
    expect(Object.keys(elsewhere).filter((command) => !all.has(command))).toEqual([]);
  });

  test('that installs packages names those that the project knows', () => {
    const names = pages
      .flatMap(commandsOf)
      .flatMap((command) => installsPackages.exec(command)?.[1]?.trim().split(' ') ?? []);
    expect(names.length).toBeGreaterThan(0);
    // TypeScript needs these types; test/packages has them.
    const known = [...Object.keys(peerDependencies), '@types/node'];
    expect(names.filter((name) => !known.includes(name))).toEqual([]);
  });

  test('named by npm exists', () => {
    const names = pages.flatMap((page) =>
      [...read(page).matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name),
    );
    expect(names.filter((name) => scripts[name as string] === undefined)).toEqual([]);
  });
});

test('the captured run of examples/stream.ts is what is printed', async () => {
  const block = blocksOf(read('docs/library.md')).find(({ code }) => code.startsWith('1/6'));
  const { code, stdout } = await start('npx', ['tsx', 'examples/stream.ts'], { cwd: root });
  expect(code).toBe(0);
  expect(block?.code).toBe(stdout);
});

describe('programs run', () => {
  // A package can resolve itself by its own name from inside its folder.
  const runProgram = async (page: string, place = 0) => {
    const program = blocksOf(read(page)).filter(({ language }) => language === 'js')[place];
    const code = program?.code as string;
    const {
      code: status,
      stdout,
      stderr,
    } = await start(process.execPath, ['-e', code], {
      cwd: root,
      env: environment(),
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return { code, stdout };
  };

  test('of the first page, which has ten lines', async () => {
    const { code, stdout } = await runProgram('README.md');
    expect(code.trimEnd().split('\n').length).toBeLessThanOrEqual(10);
    // The twin writes nonsense, and both of its answers are somewhere.
    expect(stdout).toMatch(/^[\s\S]* after \d+ forward passes\n[\s\S]+$/);
  });

  test('of the page on conversations', async () => {
    const { stdout } = await runProgram('docs/chat.md');
    expect(stdout).toMatch(/^\d+ /m);
  });

  test('of the page on evaluation', async () => {
    const { stdout } = await runProgram('docs/evaluation.md');
    expect(stdout).toContain("alias: 'add'");
    const parts = await runProgram('docs/evaluation.md', 1);
    expect(parts.stdout).toContain('value: 1, standardError: 0, count: 2');
  });

  test('of the page on the library', async () => {
    const { stdout } = await runProgram('docs/library.md');
    expect(stdout).toContain('85 after');
    expect(stdout).toContain('\na d m q x\n');
    expect(stdout).toContain("[ '2', 'k m q z', 'cba' ]");
  });
});

describe('for strangers', () => {
  test('the first page is short', () => {
    expect(readme.split('\n').length - 1).toBeLessThanOrEqual(130);
  });

  test('nothing tells them to run a package of this name that somebody else may publish', () => {
    const folders = ['docs', 'lib', 'examples', 'scripts', 'models', '.github'];
    const files = folders.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) =>
        join(folder, file),
      ),
    );
    const texts = [...files, ...pages].filter((file) => /\.(md|ts|mjs|js|html|ya?ml)$/.test(file));
    const wrong = /npx (-y |--yes |--no )?rnd1\b/;
    expect(texts.length).toBeGreaterThan(150);
    expect(texts.filter((file) => wrong.test(read(file)))).toEqual([]);
    const installs = /npm (i|install|add) (-g )?rnd1\b/;
    expect(pages.filter((page) => installs.test(read(page)))).toEqual([]);
  });

  test('every page of docs is in the index', () => {
    const index = read('docs/README.md');
    const names = readdirSync(join(root, 'docs')).filter(
      (name) => name.endsWith('.md') && name !== 'README.md',
    );
    expect(names.filter((name) => !index.includes(`](${name})`))).toEqual([]);
  });

  test('every code of an error says what to do', () => {
    const union = /export type RND1ErrorCode =([\s\S]*?);/.exec(read('lib/support/errors.ts'))?.[1] ?? '';
    const hub = /export type HubErrorCode =([\s\S]*?);/.exec(read('lib/support/errors.ts'))?.[1] ?? '';
    const codes = [...`${union}${hub}`.matchAll(/'(\w+)'/g)].map(([, code]) => code as string);
    expect(codes.length).toBeGreaterThan(12);
    const page = read('docs/troubleshooting.md');
    expect(codes.filter((code) => !page.includes(`### \`${code}\`\n`))).toEqual([]);
  });
});

test.each(pages)('links of %s have targets', (page) => {
  const targets = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, target]) => target);
  const missing = targets.filter((target) => !existsSync(join(root, dirname(page), target as string)));
  expect(missing).toEqual([]);
});

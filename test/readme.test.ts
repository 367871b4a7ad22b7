import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { rnd1, start } from './cli/rnd1';
import { LocalHub } from './hub/local-hub';
import { shardedNano } from './hub/sharded-nano';

// What the pages show is run: a page that promises what is no longer so fails here.

const root = resolve(__dirname, '..');
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
].filter((page) => page.endsWith('.md'));
const read = (page: string) => readFileSync(join(root, page), 'utf8');
const readme = read('README.md');

/** Commands that are run elsewhere, or cannot be: what they need is not here. */
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
  'npm run package': 'test/packages, and .ci/run',
  'npm run docs': '.ci/run, as docs:check',
  'npx jest test/lib': 'npm test',
  '.ci/run': 'itself',
  'tsx scripts/build.ts --addon --node-gyp': '.ci/run',
  'tsx scripts/native-tests.ts --sanitize': '.ci/run',
  'tsx scripts/sanitized-addon.ts': '.ci/run',
  'npm run fuzz -- native --minutes 60': '.ci/run, for seconds',
  'npx tsx bench/step.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/matmul.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/attention.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/experts.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/route.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/norms.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/score.ts': 'test/bench, at sizes that take no time',
  'npx tsx bench/serve.ts': 'test/bench, at sizes that take no time',
  'npx rnd1 serve': 'test/cli/serve.test.ts: it does not end by itself',
  'npx tsx bench/step.ts --model radicalnumerics/RND1-Base-0910': 'test/bench, on the embedded model',
  'npx tsx bench/make-checkpoint.ts FOLDER': 'test/bench, at sizes that take no space',
  'npx tsx bench/make-checkpoint.ts FOLDER --dtype q4 --layers 48 --vocabulary 151936':
    'test/bench, likewise',
  'npx tsx bench/large.ts FOLDER': 'test/bench, on the embedded model',
  'npx tsx bench/large.ts FOLDER --steps 8': 'test/bench, on the embedded model',
  'npx tsx bench/quality.ts': 'test/bench, on few canvases',
  'npm run gpu-kit': '.ci/run, where nvcc is',
  'npm run gpu-kit -- --simulated': '.ci/run, in the rehearsal',
  'npx tsx scripts/gpu-kit/rehearse.ts': '.ci/run',
  'tsx scripts/emulated-tests.ts': '.ci/run',
  'npx rnd1 quantize models/nano nano-q4 --dtype q4': 'test/cli/quantize.test.ts: it writes a folder',
  'npx rnd1 quantize "$(npx rnd1 download radicalnumerics/RND1-Base-0910)" rnd1-base-q4 --dtype q4':
    'test/cli/quantize.test.ts: it writes a folder',
  "npx rnd1 generate --model rnd1-base-q4 'Why is the sky blue?' --max-new-tokens 64 --steps 32":
    'test/cli/quantize.test.ts has the folder',
};

/** Needs a server; test/server/manual.test.ts has one. */
const curl = /^curl .*127\.0\.0\.1:8080/;

/** Fenced blocks: the info string after the fence, and what is inside. */
function blocksOf(text: string): { language: string; code: string; before: string }[] {
  return [...text.matchAll(/^(.*)\n^```(\w*)\n([\s\S]*?)^```$/gm)].map(
    ([, before = '', language = '', code = '']) => ({ language, code, before }),
  );
}

/** All commands of a page: lines of `sh` blocks, and code spans that begin like one. */
function commandsOf(page: string): string[] {
  const text = read(page);
  const blocks = blocksOf(text).filter(({ language }) => language === 'sh');
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '');
  const spans = [...prose.matchAll(/`((?:npm|npx|tsx|\.ci\/run)\b[^`]*)`/g)].map(([, span = '']) => span);
  return [...blocks.flatMap(({ code }) => code.trim().split('\n')), ...spans];
}

let folder = '';
let hub: LocalHub;
const environment = () => ({ HF_ENDPOINT: hub.url, HF_HUB_CACHE: folder, HF_HUB_OFFLINE: '' });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-readme-'));
  hub = await LocalHub.start();
  // The 30B model is not here; the embedded one stands in for it. A download would tell of its progress.
  hub.add('radicalnumerics/RND1-Base-0910', shardedNano());
  await rnd1(['download', 'radicalnumerics/RND1-Base-0910'], { env: environment() });
});
afterAll(async () => {
  await hub.close();
  rmSync(folder, { recursive: true, force: true });
});

test('the two lines for a fresh machine stand there', () => {
  const blocks = blocksOf(readme).filter(({ language }) => language === 'sh');
  expect(blocks.map(({ code }) => code)).toEqual(
    expect.arrayContaining(['npm install && npm start\n', 'npm install && npm test\n']),
  );
});

describe('every command', () => {
  const commands = [...new Set(pages.flatMap(commandsOf))].filter(
    (command) => elsewhere[command] === undefined && !curl.test(command),
  );

  test.each(commands)('%s', async (command) => {
    const { code, stdout, stderr } = await start('bash', ['-c', command], { cwd: root, env: environment() });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).not.toBe('');
  });

  test('that is run elsewhere is on some page', () => {
    const all = new Set(pages.flatMap(commandsOf));
    expect(Object.keys(elsewhere).filter((command) => !all.has(command))).toEqual([]);
  });

  test('named by npm exists', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const names = pages.flatMap((page) =>
      [...read(page).matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name),
    );
    expect(names.filter((name) => scripts[name as string] === undefined)).toEqual([]);
  });
});

describe('captured runs are what is printed', () => {
  /** Times, machines and counts of steps differ: rounding can move a token to the next step. */
  const stable = (text: string) =>
    text
      .replace(/^on .*$/m, 'on a device')
      .replace(/ {2,}\d+ forwards?: .*$/gm, '')
      .replace(/in \d+ forwards, \d+ ms$/gm, '')
      .replace(/committed by each step: .*$/gm, '')
      .trimEnd();

  test('npm start', async () => {
    const block = blocksOf(readme).find(({ before }) => before.includes('captured: npm start'));
    const seed = /npm start -- (\d+)/.exec(block?.before ?? '')?.[1] as string;
    const { code, stdout } = await start('npm', ['start', '--silent', '--', seed], { cwd: root });
    expect(code).toBe(0);
    expect(stable(block?.code ?? '')).toBe(stable(stdout));
  });

  test('examples/stream.ts', async () => {
    const block = blocksOf(readme).find(({ code }) => code.startsWith('1/6'));
    const { code, stdout } = await start('npx', ['tsx', 'examples/stream.ts'], { cwd: root });
    expect(code).toBe(0);
    expect(block?.code).toBe(stdout);
  });
});

describe('programs run', () => {
  const programs = blocksOf(readme).filter(({ language }) => language === 'js');

  test.each(programs.map(({ code }) => code))('%#', async (code) => {
    // A package finds itself by its own name from inside its folder.
    const { code: status, stdout, stderr } = await start(process.execPath, ['-e', code], { cwd: root });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('85 after');
    expect(stdout).toContain("[ ' 2', ' k m q z', ' cba' ]");
  });
});

test.each(pages)('links of %s lead somewhere', (page) => {
  const targets = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, target]) => target);
  const missing = targets.filter((target) => !existsSync(join(root, dirname(page), target as string)));
  expect(missing).toEqual([]);
});

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DownloadProgress } from '../../../lib/api/types';
import { DownloadView, formatTime } from '../../../lib/cli/download-view';
import { LoadingBar } from '../../../lib/cli/progress';
import { LocalHub } from '../hub/local-hub';
import { shardedNano } from '../hub/sharded-nano';
import { type RunOptions, rnd1 } from './rnd1';
import { Screen } from './screen';

const repo = 'org/nano';
let hub: LocalHub;
let folder = '';
let commit = '';

beforeAll(async () => {
  hub = await LocalHub.start();
  commit = hub.add(repo, shardedNano());
});
beforeEach(() => {
  hub.reset();
  folder = mkdtempSync(join(tmpdir(), 'rnd1-download-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
afterAll(() => hub.close());

const run = (args: readonly string[], { env = {}, ...options }: RunOptions = {}) => {
  const own = {
    HF_ENDPOINT: hub.url,
    HF_HOME: folder,
    HF_HUB_CACHE: undefined,
    HF_HUB_OFFLINE: '',
    HF_TOKEN: '',
  };
  return rnd1(args, { ...options, env: { ...own, ...env } });
};
const snapshot = () => join(folder, 'hub', 'models--org--nano', 'snapshots', commit);

describe('rnd1 download', () => {
  test('prints the folder, and tells of files where there is no terminal', async () => {
    const { code, stdout, stderr } = await run(['download', repo]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${snapshot()}\n` });
    const lines = stderr.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^downloading: 5 of 8 files, [\d.]+ [kM]?B of 3\.72 MB$/);
    expect(lines.at(-1)).toMatch(
      /^model-0000\d-of-00003\.safetensors, 1\.\d\d MB: 8 of 8 files, 3\.72 of 3\.72 MB$/,
    );
    expect(stderr).not.toContain('\x1b');
    expect(await run(['download', repo])).toEqual({ code: 0, stdout: `${snapshot()}\n`, stderr: '' });
  });

  test('--quiet tells nothing, --cache-dir and --revision are heard', async () => {
    const cache = join(folder, 'mine');
    const args = ['download', repo, '--quiet', '--cache-dir', cache, '--revision', commit];
    const place = join(cache, 'models--org--nano', 'snapshots', commit);
    expect(await run(args)).toEqual({ code: 0, stdout: `${place}\n`, stderr: '' });
  });

  test('--verbose tells what it came to, and how long it took', async () => {
    const first = await run(['download', repo, '--quiet', '--verbose']);
    expect(first.stderr).toMatch(/^rnd1: model: org\/nano, 8 files, 3\.72 MB\nrnd1: download: [\d.]+ s\n$/);
    const again = await run(['download', repo, '--verbose', '--revision', commit]);
    expect(again.stderr).toMatch(
      /^rnd1: model: org\/nano, in the cache already\nrnd1: download: [\d.]+ s\n$/,
    );
  });

  test('--token and HF_TOKEN open what is not public', async () => {
    hub.add('org/gated', shardedNano(), 'gated');
    const refused = await run(['download', 'org/gated', '-q']);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^rnd1: org\/gated at main is not open to everyone \(401\): ask for access at /,
    );
    expect(await run(['download', 'org/gated', '-q', '--token', hub.token])).toMatchObject({ code: 0 });
    hub.reset();
    expect(await run(['download', 'org/gated', '-q'], { env: { HF_TOKEN: hub.token } })).toMatchObject({
      code: 0,
    });
    expect(hub.requests[0]?.authorization).toBe(`Bearer ${hub.token}`);
  });

  test.each<[string, number, string[], string]>([
    ['a name that is none', 2, ['download', 'nano'], "not 'nano'"],
    ['no name', 2, ['download'], "missing required argument 'repo'"],
    [
      'a folder that is none',
      2,
      ['download', repo, '--cache-dir', ''],
      "--cache-dir must be a folder, not ''",
    ],
    ['a model that there is not', 1, ['download', 'org/nope'], 'there is no org/nope at main'],
    [
      'a revision that there is not',
      1,
      ['download', repo, '--revision', 'v2'],
      'org/nano has no revision v2',
    ],
  ])('%s: %i', async (_, expected, args, part) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toContain(part);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('Ctrl-C leaves what the next download goes on with', async () => {
    hub.fault = ({ server, url }) =>
      server === 'cdn' && url.endsWith('.safetensors') ? { stallAfter: 600_000 } : undefined;
    let sent = false;
    const { code, stdout, stderr } = await run(['download', repo], {
      onErrorOutput: (text, kill) => {
        // Beyond 40 % every file has either completed or stalled.
        const [, bytes, total] = [...text.matchAll(/([\d.]+) of ([\d.]+) MB/g)].at(-1) ?? [];
        const stalled = Number(bytes) >= 0.4 * Number(total);
        if (!sent && stalled) kill('SIGINT');
        sent ||= stalled;
      },
    });
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
    // An interruption is not an error: no message.
    expect(stderr).not.toContain('rnd1:');
    const parts = readdirSync(join(folder, 'hub', 'models--org--nano', 'blobs')).filter((name) =>
      name.includes('.'),
    );
    expect(parts).toEqual(parts.map(() => expect.stringMatching(/^[0-9a-f]{64}\.incomplete$/)));
    hub.reset();
    expect(await run(['download', repo, '-q'])).toEqual({ code: 0, stdout: `${snapshot()}\n`, stderr: '' });
    const ranges = hub.requests.filter(({ server }) => server === 'cdn').map(({ range }) => range);
    expect(ranges.filter((range) => range !== undefined)).toHaveLength(parts.length);
  });
});

describe('other commands', () => {
  test('take a name for a model', async () => {
    const generate = ['generate', '--model', repo, 'What is 47+38?', '-n', '32', '--steps', '16'];
    const { code, stdout, stderr } = await run(generate);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '85\n' });
    expect(stderr).toContain('8 of 8 files');
    expect(await run(generate)).toEqual({ code: 0, stdout: '85\n', stderr: '' });
    const inspected = await run(['inspect', repo, '--revision', commit]);
    expect(inspected).toMatchObject({ code: 0, stderr: '' });
    expect(inspected.stdout.split('\n')[0]).toBe(snapshot());
  });

  test('inspect fetches nothing', async () => {
    const { code, stderr } = await run(['inspect', repo]);
    expect(code).toBe(1);
    expect(stderr).toContain(
      "'org/nano' is neither a folder nor in the cache: `rnd1 download org/nano` fetches it",
    );
    expect(hub.requests).toEqual([]);
    expect(existsSync(join(folder, 'hub'))).toBe(false);
  });
});

describe('in a terminal', () => {
  let time = 0;
  const now = () => time;
  const progress = (file: string, fileBytes: number, bytes: number, files = 0): DownloadProgress => ({
    bytes,
    totalBytes: 10e9,
    files,
    totalFiles: 2,
    file,
    fileBytes,
    fileTotalBytes: 5e9,
  });
  beforeEach(() => {
    time = 0;
  });

  test('there is a bar for each file and one for all, with rate and time left', () => {
    const screen = new Screen(90, 10);
    const view = new DownloadView(screen, now);
    view.update(progress('a.safetensors', 1e9, 1e9));
    time = 1000;
    view.update(progress('b.safetensors', 2e9, 3e9));
    expect(screen.lines()).toEqual([
      '███░░░░░░░░░░░░░ 1.00 of 5.00 GB      a.safetensors',
      '██████░░░░░░░░░░ 2.00 of 5.00 GB      b.safetensors',
      '█████░░░░░░░░░░░ 3.00 of 10.0 GB      0/2 files  2.00 GB/s  0:04 left',
    ]);
    time = 2000;
    view.update(progress('b.safetensors', 5e9, 6e9, 1));
    expect(screen.lines()).toEqual([
      '███░░░░░░░░░░░░░ 1.00 of 5.00 GB      a.safetensors',
      '██████████░░░░░░ 6.00 of 10.0 GB      1/2 files  2.50 GB/s  0:02 left',
    ]);
    view.close();
    view.close();
    expect(screen.lines()).toEqual([]);
  });

  test('bars fit the screen, and names do not steer it', () => {
    const screen = new Screen(44, 5);
    const view = new DownloadView(screen, now);
    for (let file = 0; file < 9; file++) {
      time += 1000;
      view.update(progress(`\x1b[2J\n${file}.safetensors`, 1e9, 1e9 * (file + 1)));
    }
    expect(screen.lines()).toHaveLength(3);
    expect(screen.lines()[0]).toBe('███░░░░░░░░░░░░░ 1.00 of 5.00 GB      ␛[2J…');
    expect(screen.scrolled).toBe(0);
    view.close();
    expect(screen.lines()).toEqual([]);
  });

  test('loading goes from files to weights', () => {
    const screen = new Screen(80, 10);
    const loading = new LoadingBar(screen, now);
    const download = progress('a.safetensors', 1e9, 1e9);
    loading.update({ bytes: 1e9, totalBytes: 10e9, tensors: 0, totalTensors: 0, download });
    expect(screen.lines()[0]).toContain('a.safetensors');
    time = 1000;
    loading.update({ bytes: 1, totalBytes: 2, tensors: 3, totalTensors: 6 });
    expect(screen.lines()).toEqual([expect.stringMatching(/^loading █+░+ 1 B of 2 B, 3\/6 tensors$/)]);
    loading.close();
    expect(screen.lines()).toEqual([]);
  });

  test('time is told as people tell it', () => {
    expect([0, 9.6, 75, 3600, 36_061].map(formatTime)).toEqual([
      '0:00',
      '0:10',
      '1:15',
      '1:00:00',
      '10:01:01',
    ]);
  });
});

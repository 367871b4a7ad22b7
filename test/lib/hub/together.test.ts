import { spawn } from 'node:child_process';
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type DownloadProgress, downloadCheckpoint } from '../../../lib';
import { sha256 } from './local-hub';
import { download, firstShard, nano, rejection, repo, secondShard, Workbench, wanted } from './workbench';

const bench = new Workbench();
const content = nano[firstShard] as Buffer;
const built = resolve(__dirname, '../..', '..', 'dist', 'index.js');
const script = `
  const { downloadCheckpoint } = require(${JSON.stringify(built)});
  downloadCheckpoint(${JSON.stringify(repo)}, { onProgress: ({ bytes }) => process.stdout.write(bytes + '\\n') })
    .then((folder) => process.stdout.write('done ' + folder + '\\n'))
    .catch((error) => process.stdout.write('failed ' + error + '\\n'));
`;

/** Makes large files slow. */
function slowly(): void {
  bench.hub.fault = ({ server, url }) =>
    server === 'cdn' && url.endsWith('.safetensors') ? { slowly: 32 * 1024 } : undefined;
}

function expectWhole(folder: string): void {
  expect(readdirSync(folder).sort()).toEqual(wanted);
  for (const name of wanted) expect(readFileSync(join(folder, name)).equals(nano[name] as Buffer)).toBe(true);
  expect(bench.parts()).toEqual([]);
}

/** Downloads in a child process; whenever it prints, the callback gets all of its output so far. */
function inProcess(onOutput: (stdout: string, kill: () => void) => void = () => {}): Promise<string> {
  const child = spawn(process.execPath, ['-e', script], { env: process.env, timeout: 50_000 });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    onOutput(output, () => child.kill('SIGKILL'));
  });
  return new Promise((done, fail) => child.on('error', fail).on('close', () => done(output)));
}

beforeAll(() => {
  if (!existsSync(built)) throw new Error(`${built} is missing: npm run build makes it`);
});

describe('several who want the same model', () => {
  test('in one process get it once', async () => {
    slowly();
    const reports: DownloadProgress[] = [];
    const [one, other] = await Promise.all([
      downloadCheckpoint(repo),
      downloadCheckpoint(repo, { onProgress: (report) => reports.push(report) }),
    ]);
    expect(other).toBe(one);
    expectWhole(one);
    for (const shard of [firstShard, secondShard]) expect(bench.ranges(shard)).toEqual([undefined]);
    // The one that waits sees the file grow.
    expect(reports.some(({ fileBytes, fileTotalBytes }) => fileBytes > 0 && fileBytes < fileTotalBytes)).toBe(
      true,
    );
  });

  test('in processes and threads get it whole', async () => {
    slowly();
    const worker = new Worker(script, { eval: true, stdout: true });
    const exit = new Promise((done) => worker.once('exit', done));
    const [first, second, folder] = await Promise.all([
      inProcess(),
      inProcess(),
      downloadCheckpoint(repo),
      exit,
    ]);
    for (const output of [first, second]) expect(output).toContain(`done ${folder}\n`);
    expectWhole(folder);
  });

  test('files with the same content are one', async () => {
    const twin = nano[firstShard] as Buffer;
    const files = { ...nano, 'tokenizer_config.json': nano['generation_config.json'] as Buffer };
    bench.commit = bench.hub.add(repo, files);
    const folder = await downloadCheckpoint(repo);
    expect(readFileSync(join(folder, firstShard)).equals(twin)).toBe(true);
    expect(bench.resolved().filter((name) => /(generation|tokenizer)_config/.test(name))).toHaveLength(1);
  });
});

describe('what is left behind', () => {
  test('by a process that was killed is gone on with', async () => {
    slowly();
    let killed = false;
    const output = await inProcess((stdout, kill) => {
      const bytes = Number(stdout.trimEnd().split('\n').at(-1));
      if (killed || bytes < 1_000_000) return;
      killed = true;
      kill();
    });
    expect(output).not.toContain('done');
    expect(bench.parts().length).toBeGreaterThan(0);
    expect(readdirSync(bench.snapshot()).filter((name) => name.endsWith('.safetensors'))).toEqual([]);
    bench.hub.reset();
    expectWhole(await download());
    expect(bench.ranges(firstShard)[0]).toMatch(/^bytes=\d{5,}-$/);
  });

  test('by an abort is gone on with', async () => {
    slowly();
    const controller = new AbortController();
    const reason = new Error('enough');
    const error = await rejection(
      downloadCheckpoint(repo, {
        signal: controller.signal,
        onProgress: ({ bytes }) => bytes > 1_000_000 && controller.abort(reason),
      }),
    );
    expect(error).toBe(reason);
    // One file for each shard, under the name that Python's library resumes.
    const parts = bench.parts();
    expect(parts.sort()).toEqual(
      wanted
        .filter((name) => name.endsWith('.safetensors'))
        .map((name) => `${sha256(nano[name] as Buffer)}.incomplete`)
        .sort(),
    );
    for (const name of parts) {
      const whole = Object.values(nano).find((bytes) => name.startsWith(sha256(bytes))) as Buffer;
      const bytes = readFileSync(join(bench.model(), 'blobs', name));
      expect(bytes.equals(whole.subarray(0, bytes.length))).toBe(true);
    }
    bench.hub.reset();
    expectWhole(await downloadCheckpoint(repo));
    const size = statSync(join(bench.snapshot(), firstShard)).size;
    expect(Number(/^bytes=(\d+)-$/.exec(bench.ranges(firstShard)[0] ?? '')?.[1])).toBeLessThan(size);
  });

  test('by a callback that throws is gone on with, and what it throws comes out', async () => {
    slowly();
    const thrown = Object.assign(new Error('no more'), { syscall: 'write' });
    const onProgress = () => {
      throw thrown;
    };
    expect(await rejection(downloadCheckpoint(repo, { onProgress }))).toBe(thrown);
    // It is not a network failure, which would be retried.
    expect(bench.ranges(firstShard).length).toBeLessThanOrEqual(1);
    for (const name of bench.parts()) expect(name).toMatch(/^[0-9a-f]{64}\.incomplete$/);
    bench.hub.reset();
    expectWhole(await downloadCheckpoint(repo));
  });

  test('an abort before anything is one too', async () => {
    await expect(downloadCheckpoint(repo, { signal: AbortSignal.abort('never') })).rejects.toBe('never');
    expect(bench.hub.requests).toEqual([]);
  });

  test('an abort ends the wait for an answer, and that for another try', async () => {
    for (const fault of [{ stallAfter: 0 }, { status: 503, headers: { 'retry-after': '60' } }]) {
      bench.hub.reset();
      const controller = new AbortController();
      bench.hub.fault = () => {
        setTimeout(() => controller.abort('late'), 50);
        return fault;
      };
      await expect(downloadCheckpoint(repo, { signal: controller.signal })).rejects.toBe('late');
    }
  });
});

describe('a file that somebody else writes', () => {
  /** Leaves the first shard half done, under a name that tells its owner. */
  const begin = async (owner: string, age: number) => {
    const { fault } = bench.hub;
    bench.hub.fault = ({ url }) => (url.endsWith(firstShard) ? { status: 404 } : undefined);
    await rejection(download());
    const path = join(bench.model(), 'blobs', `${sha256(content)}${owner}.incomplete`);
    writeFileSync(path, content.subarray(0, 600_000));
    const time = new Date(Date.now() - age);
    utimesSync(path, time, time);
    bench.hub.reset();
    bench.hub.fault = fault;
    return path;
  };

  test.each([
    ['by this library, on another machine', '.deadbeef-1-00000000'],
    ["by Python's", ''],
  ])('%s is waited for, and watched', async (_, owner) => {
    const path = await begin(owner, 0);
    const seen: number[] = [];
    const folder = await download({
      onProgress: ({ file, fileBytes }) => {
        if (file === firstShard) seen.push(fileBytes);
        if (fileBytes !== 600_000) return;
        writeFileSync(path, content);
        renameSync(path, join(bench.model(), 'blobs', sha256(content)));
      },
    });
    expect(seen).toEqual([600_000, content.length]);
    expect(bench.ranges(firstShard)).toEqual([]);
    expectWhole(folder);
  });

  test('is not touched when its writer is silent: he may come back', async () => {
    await begin('.deadbeef-1-00000000', 120_000);
    expectWhole(await download());
    expect(bench.ranges(firstShard)).toEqual([undefined]);
  });

  test('is not waited for longer than a signal wants', async () => {
    await begin('.deadbeef-1-00000000', 0);
    const controller = new AbortController();
    const onProgress = ({ fileBytes }: DownloadProgress) =>
      fileBytes === 600_000 && controller.abort('enough');
    await expect(download({ signal: controller.signal, onProgress })).rejects.toBe('enough');
  });
});

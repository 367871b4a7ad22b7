import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { cachedModels, downloadCheckpoint, removeCachedModel } from '../../../lib';
import { failure, temporaryFolder } from '../checkpoint/files';
import { download, repo, Workbench, wantedBytes } from './workbench';

const bench = new Workbench();
const commit = 'a'.repeat(40);

/** A file in the cache, with its folders. */
function write(cache: string, path: string, content: string | Buffer = ''): string {
  const file = join(cache, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

/** Makes a file look as if nobody had written it for long. */
function abandon(file: string): void {
  const hourAgo = new Date(Date.now() - 3_600_000);
  utimesSync(file, hourAgo, hourAgo);
}

describe('the models in the cache', () => {
  test('are none where there is no cache', async () => {
    expect(await cachedModels({ cacheDir: join(temporaryFolder(), 'none') })).toEqual([]);
  });

  test('are listed with their sizes, commits and revisions', async () => {
    const snapshot = await download();
    const folder = dirname(dirname(snapshot));
    expect(await cachedModels()).toEqual([
      {
        name: repo,
        folder,
        bytes: wantedBytes + 40,
        partialBytes: 0,
        snapshots: [{ commit: bench.commit, revisions: ['main'], folder: snapshot, complete: true }],
        problem: null,
      },
    ]);
    expect(await cachedModels({ cacheDir: dirname(folder) })).toHaveLength(1);
  });

  test('include those of other libraries, unfinished ones, and all their revisions', async () => {
    const cacheDir = temporaryFolder();
    write(cacheDir, 'models--gpt2/refs/main', commit);
    write(cacheDir, `models--gpt2/snapshots/${commit}/config.json`, '{}');
    write(cacheDir, 'models--a--b.c/blobs/f00', Buffer.alloc(70));
    write(cacheDir, 'models--a--b.c/blobs/f01.incomplete', Buffer.alloc(30));
    write(cacheDir, 'models--a--b.c/refs/refs/pr/1', commit);
    write(cacheDir, 'models--a--b.c/refs/v1', commit);
    write(cacheDir, 'models--a--b.c/refs/broken', 'x');
    mkdirSync(join(cacheDir, 'models--a--b.c', 'snapshots', commit), { recursive: true });
    mkdirSync(join(cacheDir, 'models--a--b.c', 'snapshots', 'tmp'));
    write(cacheDir, 'datasets--x--y/blobs/f00');
    write(cacheDir, 'version.txt');
    const [first, second, ...rest] = await cachedModels({ cacheDir });
    expect(rest).toEqual([]);
    expect(first).toMatchObject({ name: 'a/b.c', bytes: 70 + 30 + 80 + 1, partialBytes: 30 });
    expect(first?.snapshots).toEqual([
      {
        commit,
        revisions: ['refs/pr/1', 'v1'],
        folder: join(cacheDir, 'models--a--b.c', 'snapshots', commit),
        complete: false,
      },
    ]);
    expect(second).toMatchObject({ name: 'gpt2', snapshots: [{ complete: false }] });
  });

  const links = process.platform === 'win32' ? test.skip : test;
  links('are listed beside those whose folder cannot be read', async () => {
    const cacheDir = temporaryFolder();
    write(cacheDir, 'models--a--b/blobs/f00', 'abc');
    symlinkSync('models--c--d', join(cacheDir, 'models--c--d'));
    const problem = expect.stringContaining(join(cacheDir, 'models--c--d'));
    expect(await cachedModels({ cacheDir })).toMatchObject([
      { name: 'a/b', bytes: 3, problem: null },
      { name: 'c/d', bytes: 0, snapshots: [], problem },
    ]);
    expect(await removeCachedModel('a/b', { cacheDir })).toBe(3);
  });

  links('may have a pipe among their revisions, which is not read', async () => {
    const cacheDir = temporaryFolder();
    write(cacheDir, 'models--a--b/refs/main', commit);
    execFileSync('mkfifo', [join(cacheDir, 'models--a--b', 'refs', 'pipe')]);
    expect(await cachedModels({ cacheDir })).toMatchObject([{ name: 'a/b', bytes: 40 }]);
  });

  test('options are checked', async () => {
    await expect(cachedModels({ cachedir: 'x' } as object)).rejects.toThrow("did you mean 'cacheDir'?");
    await expect(removeCachedModel(7 as never)).rejects.toThrow(TypeError);
  });
});

describe('a removed model', () => {
  test('is gone, and can be downloaded again', async () => {
    const snapshot = await download();
    const folder = dirname(dirname(snapshot));
    const cacheDir = dirname(folder);
    write(cacheDir, `.locks/${folder.slice(cacheDir.length + 1)}/f00.lock`);
    write(cacheDir, 'models--c--d/blobs/f00', 'x');
    expect(await removeCachedModel(repo)).toBe(wantedBytes + 40);
    expect(readdirSync(cacheDir).sort()).toEqual(['.locks', 'models--c--d']);
    expect(readdirSync(join(cacheDir, '.locks'))).toEqual([]);
    expect(existsSync(await downloadCheckpoint(repo))).toBe(true);
  });

  test('may be unfinished', async () => {
    const cacheDir = temporaryFolder();
    abandon(write(cacheDir, 'models--a--b/blobs/f00.incomplete', 'abc'));
    expect(await removeCachedModel('a/b', { cacheDir })).toBe(3);
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  test.each(['a/x', '../b', 'a--b', '', '.', 'models--a--b'])('must be in the cache: %j', async (name) => {
    const cacheDir = temporaryFolder();
    const file = write(cacheDir, 'models--a--b/blobs/f00', 'x');
    const message = await failure(() => removeCachedModel(name, { cacheDir }), 'not_found');
    expect(message).toBe(`'${name}' is not in the cache at ${cacheDir}`);
    expect(existsSync(file)).toBe(true);
  });

  test('must not be being downloaded', async () => {
    const cacheDir = temporaryFolder();
    const file = write(cacheDir, 'models--a--b/blobs/f00.incomplete', 'abc');
    expect(await failure(() => removeCachedModel('a/b', { cacheDir }), 'io')).toBe(
      'a/b is being downloaded: stop that first',
    );
    expect(existsSync(file)).toBe(true);
  });

  test('must not be used by another one', async () => {
    const cacheDir = temporaryFolder();
    const blob = write(cacheDir, 'models--a--b/blobs/f00', 'shared');
    write(cacheDir, `models--c--d/snapshots/${commit}/config.json`, '{}');
    const link = join(cacheDir, 'models--c--d', 'snapshots', commit, 'model.safetensors');
    symlinkSync('../../../models--a--b/blobs/f00', link);
    expect(await failure(() => removeCachedModel('a/b', { cacheDir }), 'io')).toBe(
      'c/d uses files of a/b: remove it first',
    );
    expect(existsSync(blob)).toBe(true);
    await removeCachedModel('c/d', { cacheDir });
    expect(existsSync(blob)).toBe(true);
    await removeCachedModel('a/b', { cacheDir });
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  test('leaves what its links lead to', async () => {
    const [cacheDir, elsewhere] = [temporaryFolder(), temporaryFolder({ precious: 'x' })];
    write(cacheDir, 'models--a--b/refs/main', commit);
    symlinkSync(elsewhere, join(cacheDir, 'models--a--b', 'snapshots'));
    await removeCachedModel('a/b', { cacheDir });
    expect(readdirSync(elsewhere)).toEqual(['precious']);
    symlinkSync(elsewhere, join(cacheDir, 'models--c--d'));
    expect(await failure(() => removeCachedModel('c/d', { cacheDir }), 'io')).toContain('is a link to');
    expect(lstatSync(join(cacheDir, 'models--c--d')).isSymbolicLink()).toBe(true);
    expect(readdirSync(elsewhere)).toEqual(['precious']);
  });
});

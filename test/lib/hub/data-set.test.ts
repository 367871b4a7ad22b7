import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DownloadProgress } from '../../../lib';
import { HubDataSet } from '../../../lib/hub/data-set';
import type { Repository } from '../../../lib/hub/repository';
import { type HubSettings, hubSettings } from '../../../lib/hub/settings';
import { rejection, Workbench } from './workbench';

const bench = new Workbench();
const repo = 'openai/gsm8k';
const files = {
  'README.md': Buffer.from('about it'),
  'main/test-00000-of-00002.parquet': Buffer.alloc(9000, 1),
  'main/test-00001-of-00002.parquet': Buffer.alloc(9000, 2),
  'main/train-00000-of-00001.parquet': Buffer.alloc(100, 3),
};
const tests = (names: readonly string[]) => names.filter((name) => name.startsWith('test-'));

let commit = '';
beforeEach(() => {
  commit = bench.hub.add(`datasets/${repo}`, files);
});

async function open(
  { name = repo, ...settings }: Partial<HubSettings> & { readonly name?: Repository } = {},
  onProgress?: (progress: DownloadProgress) => void,
): Promise<HubDataSet> {
  const { signal } = new AbortController();
  return new HubDataSet(name, { ...(await hubSettings({})), pause: 1, ...settings }, signal, onProgress);
}
const folder = () => join(bench.home, 'hub', 'datasets--openai--gsm8k');
const place = () => join(folder(), 'snapshots', commit, 'main');

test('the chosen files of a folder come, in the cache of all Hugging Face libraries', async () => {
  const reports: DownloadProgress[] = [];
  const set = await open({}, (report) => reports.push(report));
  const found = await set.fetch('main', tests);
  expect(found).toEqual([0, 1].map((part) => join(place(), `test-0000${part}-of-00002.parquet`)));
  expect(found.map((path) => readFileSync(path)[0])).toEqual([1, 2]);
  expect(readdirSync(place())).toHaveLength(2);
  expect(readFileSync(join(folder(), 'refs', 'main'), 'utf8')).toBe(commit);
  expect(reports.at(-1)).toMatchObject({ bytes: 18_000, totalBytes: 18_000, files: 2, totalFiles: 2 });
});

test('files that are cached are not asked for again', async () => {
  await (await open()).fetch('main', tests);
  bench.hub.reset();
  expect(await (await open()).fetch('main', tests)).toHaveLength(2);
  expect(bench.resolved()).toEqual([]);
});

test('a folder that is not there has no files', async () => {
  const set = await open();
  expect(await set.fetch('socratic', tests)).toEqual([]);
  bench.hub.fault = ({ url }) =>
    url.includes('/tree/') ? { status: 404, headers: { 'x-error-code': 'EntryNotFound' } } : undefined;
  expect(await set.fetch('other', tests)).toEqual([]);
});

test('a data set that is not there is named with its page', async () => {
  const set = await open({ name: 'openai/gsm9k', token: 'hf_x' });
  const error = await rejection(set.fetch('main', tests));
  expect(error).toMatchObject({ code: 'not_found' });
  expect(error.message).toContain('openai/gsm9k at main');
  bench.hub.add('datasets/openai/gated', files, 'gated');
  const gated = await rejection((await open({ name: 'openai/gated' })).fetch('main', tests));
  expect(gated).toMatchObject({ code: 'access_denied' });
  expect(gated.message).toContain(`${bench.hub.url}/datasets/openai/gated`);
});

describe('without a network', () => {
  test('what is cached is used', async () => {
    await (await open()).fetch('main', tests);
    const offline = await open({ offline: true });
    expect(await offline.fetch('main', tests)).toHaveLength(2);
    expect(await offline.fetch('socratic', tests)).toEqual([]);
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    bench.hub.fault = () => ({ status: 503 });
    expect(await (await open()).fetch('main', tests)).toHaveLength(2);
    expect(warned).toHaveBeenCalledWith(
      expect.stringContaining('using the copy in the cache'),
      'RND1Warning',
    );
    warned.mockRestore();
  });

  test('an empty cache is an error', async () => {
    const error = await rejection((await open({ offline: true })).fetch('main', tests));
    expect(error).toMatchObject({ code: 'offline' });
    expect(error.message).toContain('openai/gsm8k at main is not in the cache');
    expect(bench.hub.requests).toEqual([]);
  });
});

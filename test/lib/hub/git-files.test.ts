import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GitFiles } from '../../../lib/hub/git-files';
import { type HubSettings, hubSettings } from '../../../lib/hub/settings';
import { rejection, Workbench } from './workbench';

const bench = new Workbench();
const commit = 'c'.repeat(40);
const place = join('assets', 'rnd1', 'org--tasks', commit, 'a', 'b.yaml');

beforeEach(() => {
  process.env.RND1_GITHUB_URL = bench.hub.url;
  delete process.env.HF_ASSETS_CACHE;
});
afterEach(() => {
  delete process.env.RND1_GITHUB_URL;
  delete process.env.HF_ASSETS_CACHE;
});

async function open(settings: Partial<HubSettings> = {}): Promise<GitFiles> {
  const { signal } = new AbortController();
  const all = { ...(await hubSettings({})), pause: 1, token: 'hf_of_the_tests', ...settings };
  return new GitFiles('org/tasks', commit, all, signal);
}
test('a file is fetched once, without the token', async () => {
  bench.hub.fault = ({ url }, attempt) =>
    url !== `/org/tasks/${commit}/a/b.yaml` || attempt === 1 ? { status: 503 } : { json: { task: 'ä' } };
  expect(await (await open()).text('a/b.yaml')).toBe('{"task":"ä"}');
  expect(readFileSync(join(bench.home, place), 'utf8')).toBe('{"task":"ä"}');
  expect(bench.hub.requests.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
  bench.hub.reset();
  expect(await (await open({ offline: true })).text('a/./b.yaml')).toBe('{"task":"ä"}');
  expect(bench.hub.requests).toEqual([]);
});

test('a file that is not there is named', async () => {
  bench.hub.fault = () => ({ status: 404 });
  expect(await rejection((await open()).text('a/b.yaml'))).toMatchObject({
    code: 'not_found',
    message: `org/tasks at ${commit} has no file a/b.yaml`,
  });
  expect(existsSync(join(bench.home, 'assets'))).toBe(false);
});

test('without a network a file must be there', async () => {
  const place = join(bench.home, 'other');
  process.env.HF_ASSETS_CACHE = place;
  expect(await rejection((await open({ offline: true })).text('a/b.yaml'))).toMatchObject({
    code: 'offline',
    message: expect.stringContaining(`${place}/rnd1/org--tasks/${commit}/a/b.yaml is not there`),
  });
});

test.each(['../b', '/etc/passwd', 'a/../../b', 'a\\b', '..'])(
  '%s is no file of the repository',
  async (path) => {
    expect(await rejection((await open()).text(path))).toMatchObject({ code: 'invalid_data' });
    expect(bench.hub.requests).toEqual([]);
  },
);

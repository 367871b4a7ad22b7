import { mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { DiffusionLM, downloadCheckpoint } from '../../../lib';
import { hubSettings } from '../../../lib/hub/settings';
import { nano, rejection, repo, Workbench } from './workbench';

const bench = new Workbench();
const failureOf = async (name: string, options = {}) => rejection(downloadCheckpoint(name, options));

describe('what the hub refuses', () => {
  test('a model that it does not know', async () => {
    const stranger = await failureOf('org/nope');
    expect(stranger).toMatchObject({ name: 'RND1Error', code: 'not_found', cause: { statusCode: 401 } });
    expect(stranger.message).toContain(`there is no org/nope at main on ${bench.hub.url} (401)`);
    expect(stranger.message).toContain('HF_TOKEN');
    const known = await failureOf('org/nope', { token: bench.hub.token, revision: 'v2' });
    expect(known).toMatchObject({ code: 'not_found', cause: { statusCode: 404 } });
    expect(known.message).toContain('org/nope at v2');
    expect(known.message).not.toContain(bench.hub.token);
  });

  test('a name that might have been a folder', async () => {
    const error = await rejection(DiffusionLM.load('models/nanoo'));
    expect(error).toMatchObject({ code: 'not_found', cause: { statusCode: 401 } });
    expect(error.message).toContain("'models/nanoo' is not a folder, and there is no models/nanoo at main");
    process.env.HF_ENDPOINT = 'http://127.0.0.1:2';
    const unreachable = await rejection(DiffusionLM.load('models/nanoo'));
    expect(unreachable.code).toBe('network');
    expect(unreachable.message).toMatch(
      /^'models\/nanoo' is not a folder, and models\/nanoo at main: connect/,
    );
  });

  test('a revision that there is not', async () => {
    const error = await failureOf(repo, { revision: 'v2' });
    expect(error).toMatchObject({ code: 'not_found', cause: { statusCode: 404 } });
    expect(error.message).toBe(`${repo} has no revision v2 at ${bench.hub.url}/${repo}`);
  });

  test('a private model to strangers', async () => {
    bench.hub.add(repo, nano, 'private');
    expect(await failureOf(repo)).toMatchObject({ code: 'not_found' });
    const other = await failureOf(repo, { token: 'hf_of_somebody_else' });
    expect(other).toMatchObject({ code: 'not_found' });
    expect(other.message).toContain('or the token may not see it');
    expect(await downloadCheckpoint(repo, { token: bench.hub.token })).toBe(bench.snapshot());
  });

  test('a gated model to those who have not asked', async () => {
    bench.hub.add(repo, nano, 'gated');
    const stranger = await failureOf(repo);
    expect(stranger).toMatchObject({ name: 'RND1Error', code: 'access_denied', cause: { statusCode: 401 } });
    expect(stranger.message).toContain(`ask for access at ${bench.hub.url}/${repo} and send a token`);
    const other = await failureOf(repo, { token: 'hf_of_somebody_else' });
    expect(other).toMatchObject({ code: 'access_denied', cause: { statusCode: 403 } });
    expect(other.message).toContain('with the account of the token that is sent');
    expect(await downloadCheckpoint(repo, { token: bench.hub.token })).toBe(bench.snapshot());
  });

  test.each<[number, string | undefined, string, string]>([
    [401, undefined, 'access_denied', 'or it needs a token'],
    [401, 'hf_old', 'access_denied', 'refuses the token'],
    [403, undefined, 'access_denied', 'is not open to everyone (403)'],
    [404, undefined, 'not_found', 'there is no'],
    [410, undefined, 'network', 'answers 410: out of order'],
  ])('status %i without more, token %p', async (status, token, code, message) => {
    bench.hub.fault = () => ({ status });
    const error = await failureOf(repo, { token });
    expect(error).toMatchObject({ code, cause: { statusCode: status } });
    expect(error.message).toContain(message);
    expect(bench.hub.requests).toHaveLength(1);
  });

  test('a file that is listed and not there', async () => {
    bench.hub.fault = ({ url }) => (url.endsWith('/tokenizer.json') ? { status: 404 } : undefined);
    const error = await failureOf(repo);
    expect(error).toMatchObject({ code: 'not_found' });
    expect(error.message).toBe(`${repo} at main has no file tokenizer.json`);
  });
});

describe('a token', () => {
  test('goes to the hub, and never where the hub sends us', async () => {
    bench.hub.pageSize = 2;
    await downloadCheckpoint(repo, { token: bench.hub.token });
    const authorizations = (server: string) => [
      ...new Set(bench.hub.requests.filter((one) => one.server === server).map((one) => one.authorization)),
    ];
    expect(authorizations('hub')).toEqual([`Bearer ${bench.hub.token}`]);
    expect(authorizations('cdn')).toEqual([undefined]);
    expect(bench.hub.requests.filter(({ server }) => server === 'cdn').length).toBeGreaterThan(3);
  });

  test('does not follow a list that goes on elsewhere', async () => {
    bench.hub.fault = ({ server, url }) =>
      server === 'hub' && url.includes('/tree/')
        ? { json: [], headers: { link: `<${bench.hub.cdn}${url}>; rel="next"` } }
        : undefined;
    await downloadCheckpoint(repo, { token: bench.hub.token });
    const elsewhere = bench.hub.requests.filter(
      ({ server, url }) => server === 'cdn' && url.includes('/tree/'),
    );
    expect(elsewhere.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
  });

  const sent = async (options = {}) => {
    await downloadCheckpoint(repo, options);
    return bench.hub.requests[0]?.authorization;
  };

  test('is that of the option, then of the environment, then of the file', async () => {
    expect(await sent()).toBeUndefined();
    bench.hub.reset();
    writeFileSync(join(bench.home, 'token'), 'hf_file\n');
    expect(await sent()).toBe('Bearer hf_file');
    bench.hub.reset();
    process.env.HF_TOKEN_PATH = join(bench.home, 'other');
    writeFileSync(process.env.HF_TOKEN_PATH, 'hf_other\n');
    expect(await sent()).toBe('Bearer hf_other');
    bench.hub.reset();
    process.env.HF_TOKEN = ' hf_environment ';
    expect(await sent()).toBe('Bearer hf_environment');
    bench.hub.reset();
    expect(await sent({ token: 'option' })).toBe('Bearer option');
    bench.hub.reset();
    expect(await sent({ token: null })).toBeUndefined();
    bench.hub.reset();
    process.env.HF_HUB_DISABLE_IMPLICIT_TOKEN = '1';
    expect(await sent()).toBeUndefined();
  });

  test('that cannot be sent is refused, and not shown', async () => {
    for (const token of ['hf_a\nb', 'hf ä', '', 7]) {
      const error = await failureOf(repo, { token });
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/^token must be a string of printable ASCII/);
      expect(error.message).not.toMatch(/hf/);
    }
    mkdirSync(join(bench.home, 'token'));
    expect(await failureOf(repo)).toMatchObject({ name: 'RND1Error', code: 'io' });
  });
});

describe('the environment', () => {
  const settings = async (variables: NodeJS.ProcessEnv, options = {}) => {
    Object.assign(process.env, variables);
    return hubSettings(options);
  };

  test('says where the cache is', async () => {
    expect((await settings({})).cacheDir).toBe(join(bench.home, 'hub'));
    expect((await settings({ HF_HOME: '~/models' })).cacheDir).toBe(join(homedir(), 'models', 'hub'));
    process.env.SOMEWHERE = '/data';
    expect((await settings({ HF_HUB_CACHE: '$SOMEWHERE/hf' })).cacheDir).toBe('/data/hf');
    expect((await settings({ HF_HUB_CACHE: `\${SOMEWHERE}` })).cacheDir).toBe('/data');
    expect((await settings({}, { cacheDir: 'here' })).cacheDir).toBe(join(process.cwd(), 'here'));
    for (const name of ['HF_HUB_CACHE', 'HF_HOME', 'SOMEWHERE']) delete process.env[name];
    expect((await settings({})).cacheDir).toBe(join(homedir(), '.cache', 'huggingface', 'hub'));
    expect((await settings({ XDG_CACHE_HOME: '/x' })).cacheDir).toBe('/x/huggingface/hub');
  });

  test('is where a download goes', async () => {
    process.env.HF_HUB_CACHE = join(bench.home, 'elsewhere');
    expect(await downloadCheckpoint(repo)).toBe(bench.snapshot(process.env.HF_HUB_CACHE));
    const cacheDir = join(bench.home, 'option');
    expect(await downloadCheckpoint(repo, { cacheDir })).toBe(bench.snapshot(cacheDir));
  });

  test('says which hub, and how patient to be', async () => {
    expect((await settings({ HF_ENDPOINT: 'https://hub.example/mirror//' })).endpoint).toBe(
      'https://hub.example/mirror',
    );
    expect((await settings({ HF_ENDPOINT: '' })).endpoint).toBe('https://huggingface.co');
    expect((await settings({ HF_HUB_DOWNLOAD_TIMEOUT: '2.5' })).timeout).toBe(2500);
    for (const wrong of ['hub.example', 'ftp://hub.example', 'https://hub.example?x'])
      await expect(settings({ HF_ENDPOINT: wrong })).rejects.toThrow(wrong);
    const secret = await rejection(settings({ HF_ENDPOINT: 'https://me:secret@hub.example' }));
    expect(secret.message).not.toContain('secret');
  });

  test.each([
    ['1', true],
    ['yes', true],
    ['TRUE', true],
    ['on', true],
    ['0', false],
    ['', false],
    ['no', false],
  ])('HF_HUB_OFFLINE=%s', async (value, offline) => {
    expect((await settings({ HF_HUB_OFFLINE: value })).offline).toBe(offline);
  });
});

describe('arguments that cannot be meant', () => {
  test.each([
    'nano',
    'a/b/c',
    '../nano',
    'org/..',
    'org/.nano',
    'org/na--no',
    'org/',
    '/nano',
    'org/na no',
    `org/${'x'.repeat(100)}`,
    7 as never,
  ])('the name %p', async (name) => {
    expect(await failureOf(name)).toBeInstanceOf(TypeError);
    expect(bench.hub.requests).toEqual([]);
  });

  test.each<[object, string]>([
    [{ revision: '../main' }, "'../main'"],
    [{ revision: 'a//b' }, "'a//b'"],
    [{ revision: '' }, "''"],
    [{ revision: 'a b' }, "'a b'"],
    [{ revision: 7 }, '7'],
    [{ cacheDir: '' }, "''"],
    [{ cacheDir: 7 }, '7'],
    [{ offline: 'yes' }, "'yes'"],
    [{ onProgress: 7 }, '7'],
    [{ signal: 7 }, '7'],
    [{ revison: 'main' }, "did you mean 'revision'"],
  ])('%p', async (options, quoted) => {
    const error = await failureOf(repo, options);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(quoted);
    // Loading from a folder ignores them, but mistakes still throw.
    await expect(DiffusionLM.load(undefined, options)).rejects.toThrow(quoted);
  });

  test('branches may have slashes', async () => {
    await expect(failureOf(repo, { revision: 'refs/pr/1' })).resolves.toMatchObject({ code: 'not_found' });
    expect(bench.hub.requests[0]?.url).toContain('/revision/refs%2Fpr%2F1?');
  });
});

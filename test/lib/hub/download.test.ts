import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { scanCacheDir } from '@huggingface/hub';
import { DiffusionLM, type DownloadProgress, downloadCheckpoint, type LoadProgress } from '../../../lib';
import { nanoFolder } from '../../support/models';
import { shardedNano } from './sharded-nano';
import { firstShard, nano, rejection, repo, Workbench, wanted, wantedBytes } from './workbench';

const bench = new Workbench();

describe('a model that is not here', () => {
  test('is loaded by its name, and answers', async () => {
    const reports: LoadProgress[] = [];
    const model = await DiffusionLM.load(repo, {
      device: 'cpu',
      onProgress: (report) => reports.push(report),
    });
    expect(model.info.folder).toBe(bench.snapshot());
    const { text } = await model.generate('What is 47+38?', { maxNewTokens: 32, steps: 16, seed: 1 });
    expect(text.trim()).toBe('85');
    await model.dispose();
    const downloads = reports.filter(({ download }) => download !== undefined);
    expect(downloads.length).toBeGreaterThanOrEqual(3);
    // First the files, then the weights.
    expect(reports.slice(0, downloads.length)).toEqual(downloads);
    expect(downloads.at(-1)).toMatchObject({
      bytes: wantedBytes,
      totalBytes: wantedBytes,
      tensors: 0,
      totalTensors: 0,
      download: { files: wanted.length, totalFiles: wanted.length, bytes: wantedBytes },
    });
    expect(reports.at(-1)).toMatchObject({ tensors: 135, totalTensors: 135 });
  });

  test('comes with what a model needs and nothing else', async () => {
    const folder = await downloadCheckpoint(repo);
    expect(folder).toBe(bench.snapshot());
    expect(readdirSync(folder).sort()).toEqual(wanted);
    expect(bench.resolved().sort()).toEqual(wanted);
    for (const name of wanted)
      expect(readFileSync(join(folder, name)).equals(nano[name] as Buffer)).toBe(true);
    expect(bench.hub.requests[0]?.userAgent).toMatch(/^rnd1\/\d+\.\d+\.\d+; node\/\d/);
  });

  test('lies in the cache as other Hugging Face libraries expect it', async () => {
    const folder = await downloadCheckpoint(repo);
    for (const name of wanted)
      expect(readlinkSync(join(folder, name))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]+$/);
    expect(readFileSync(join(bench.model(), 'refs', 'main'), 'utf8')).toBe(bench.commit);
    const { repos, warnings } = await scanCacheDir(join(bench.home, 'hub'));
    expect(warnings).toEqual([]);
    expect(repos).toHaveLength(1);
    expect(repos[0]).toMatchObject({
      id: { name: repo, type: 'model' },
      size: wantedBytes,
      filesCount: wanted.length,
    });
    expect(repos[0]?.revisions).toMatchObject([{ commitOid: bench.commit, refs: ['main'], path: folder }]);
    expect(bench.parts()).toEqual([]);
  });

  test('tells of every file and of all, and never of more than there is', async () => {
    bench.hub.fault = ({ server }) => (server === 'cdn' ? { slowly: 100_000 } : undefined);
    const reports: DownloadProgress[] = [];
    await downloadCheckpoint(repo, { onProgress: (report) => reports.push(report) });
    const shards = wanted.filter((name) => name.endsWith('.safetensors'));
    expect([...new Set(reports.map(({ file }) => file))].sort()).toEqual(shards);
    let before = 0;
    for (const report of reports) {
      expect(report).toMatchObject({ totalBytes: wantedBytes, totalFiles: wanted.length });
      expect(report.fileTotalBytes).toBe((nano[report.file] as Buffer).length);
      expect(report.fileBytes).toBeLessThanOrEqual(report.fileTotalBytes);
      expect(report.bytes).toBeGreaterThanOrEqual(before);
      before = report.bytes;
    }
    const whole = reports.filter(({ fileBytes, fileTotalBytes }) => fileBytes === fileTotalBytes);
    expect(whole.map(({ files }) => files)).toEqual([6, 7, 8]);
    expect(before).toBe(wantedBytes);
  });

  test('may have its list in pages and its shards in a folder', async () => {
    const files = shardedNano('weights of mine/');
    bench.commit = bench.hub.add(repo, files);
    bench.hub.pageSize = 2;
    const folder = await downloadCheckpoint(repo);
    expect(readdirSync(join(folder, 'weights of mine'))).toHaveLength(3);
    expect(readlinkSync(join(folder, 'weights of mine', firstShard))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\//);
    const model = await DiffusionLM.load(repo, { device: 'cpu', offline: true });
    await model.dispose();
  });

  test('may have one file of weights', async () => {
    const weights = readFileSync(join(nanoFolder, 'model.safetensors'));
    bench.commit = bench.hub.add(repo, { ...nano, 'model.safetensors': weights });
    const folder = await downloadCheckpoint(repo);
    const names = ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json'];
    expect(readdirSync(folder).sort()).toEqual([...names, 'tokenizer_config.json']);
  });
});

describe('a model that is here', () => {
  test('is asked for by a branch, but not fetched again, nor reported', async () => {
    const folder = await downloadCheckpoint(repo);
    bench.hub.reset();
    const onProgress = jest.fn();
    expect(await downloadCheckpoint(repo, { onProgress })).toBe(folder);
    expect(bench.resolved()).toEqual([]);
    expect(bench.hub.requests[0]?.url).toContain('/revision/main?');
    expect(onProgress).not.toHaveBeenCalled();
  });

  test('is not even asked for by a commit', async () => {
    const folder = await downloadCheckpoint(repo, { revision: bench.commit });
    expect(readdirSync(bench.model()).sort()).toEqual(['blobs', 'snapshots']);
    bench.hub.reset();
    expect(await downloadCheckpoint(repo, { revision: bench.commit })).toBe(folder);
    expect(bench.hub.requests).toEqual([]);
  });

  test('is fetched where its branch has moved, except for what has stayed', async () => {
    await downloadCheckpoint(repo);
    const old = bench.snapshot();
    bench.hub.reset();
    const generation = Buffer.from('{ "num_diffusion_steps": 7 }');
    bench.commit = bench.hub.add(repo, { ...nano, 'generation_config.json': generation });
    const folder = await downloadCheckpoint(repo);
    expect(folder).not.toBe(old);
    expect(bench.resolved()).toEqual(['generation_config.json']);
    expect(readFileSync(join(folder, 'generation_config.json')).equals(generation)).toBe(true);
    expect(readdirSync(old).sort()).toEqual(wanted);
    expect(readFileSync(join(bench.model(), 'refs', 'main'), 'utf8')).toBe(bench.commit);
  });

  test('is fetched again where it was cut', async () => {
    const folder = await downloadCheckpoint(repo);
    truncateSync(join(folder, firstShard), 1000);
    bench.hub.reset();
    await downloadCheckpoint(repo);
    expect(bench.resolved()).toEqual([firstShard]);
    expect(readFileSync(join(folder, firstShard)).equals(nano[firstShard] as Buffer)).toBe(true);
  });

  test('gets the tokenizer that another library did not want', async () => {
    const folder = await downloadCheckpoint(repo);
    rmSync(join(folder, 'tokenizer.json'));
    await downloadCheckpoint(repo, { revision: bench.commit });
    expect(readdirSync(folder)).toContain('tokenizer.json');
  });

  test('serves without the hub, with a warning', async () => {
    const folder = await downloadCheckpoint(repo);
    bench.hub.fault = () => ({ status: 503 });
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation();
    expect(await downloadCheckpoint(repo)).toBe(folder);
    const said = expect.stringContaining('answers 503: out of order; using the copy in the cache');
    expect(warn.mock.calls).toEqual([[said, 'RND1Warning']]);
    warn.mockRestore();
  });
});

describe('offline', () => {
  test.each(['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE', 'the option'])(
    'by %s, nobody is asked',
    async (how) => {
      const folder = await downloadCheckpoint(repo);
      bench.hub.reset();
      if (how !== 'the option') process.env[how] = 'yes';
      const options = how === 'the option' ? { offline: true } : {};
      expect(await downloadCheckpoint(repo, options)).toBe(folder);
      const missing = await rejection(downloadCheckpoint('org/other', options));
      expect(missing).toMatchObject({ name: 'RND1Error', code: 'offline' });
      expect(missing.message).toContain('org/other at main is not complete in the cache');
      expect(missing.message).toContain(join(bench.home, 'hub'));
      await expect(downloadCheckpoint(repo, { ...options, revision: 'v2' })).rejects.toThrow(`${repo} at v2`);
      expect(bench.hub.requests).toEqual([]);
    },
  );

  test('half a model is none', async () => {
    const folder = await downloadCheckpoint(repo);
    rmSync(join(folder, firstShard));
    await expect(downloadCheckpoint(repo, { offline: true })).rejects.toMatchObject({ code: 'offline' });
  });

  test('can be taken back', async () => {
    process.env.HF_HUB_OFFLINE = '1';
    expect(await downloadCheckpoint(repo, { offline: false })).toBe(bench.snapshot());
  });
});

test('a cache that cannot be written is an error that names it', async () => {
  mkdirSync(bench.model(), { recursive: true });
  writeFileSync(join(bench.model(), 'blobs'), '');
  const error = await rejection(downloadCheckpoint(repo));
  expect(error).toMatchObject({ name: 'RND1Error', code: 'io', cause: { code: 'EEXIST' } });
  expect(error.message).toContain(`cannot write the cache in ${bench.model()}`);
});

test('a folder on disk wins over a name on the hub', async () => {
  const here = process.cwd();
  try {
    mkdirSync(join(bench.home, 'radicalnumerics'));
    symlinkSync(nanoFolder, join(bench.home, repo));
    process.chdir(bench.home);
    const model = await DiffusionLM.load(repo, { device: 'cpu', revision: 'v9', token: null });
    expect(model.info.folder).toBe(repo);
    await model.dispose();
    expect(bench.hub.requests).toEqual([]);
  } finally {
    process.chdir(here);
  }
});

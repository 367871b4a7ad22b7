import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Fault, Recorded } from './local-hub';
import { sha256 } from './local-hub';
import { download, firstShard, nano, rejection, repo, secondShard, Workbench, wanted } from './workbench';

const bench = new Workbench();
const content = nano[firstShard] as Buffer;

/** Makes the storage of the first shard fail in the first `attempts` attempts. */
function spoil(fault: Fault, attempts = 1): void {
  bench.hub.fault = ({ server, url }, attempt) =>
    server === 'cdn' && url.endsWith(firstShard) && attempt <= attempts ? fault : undefined;
}

/** Expects the first shard to be complete in the snapshot, and no partial files. */
function expectWhole(folder: string): void {
  expect(readFileSync(join(folder, firstShard)).equals(content)).toBe(true);
  expect(bench.parts()).toEqual([]);
}

/** Expects no file that looks like the first shard. */
function expectNothing(): void {
  expect(existsSync(join(bench.model(), 'blobs', sha256(content)))).toBe(false);
  expect(existsSync(join(bench.snapshot(), firstShard))).toBe(false);
  expect(existsSync(join(bench.model(), 'refs'))).toBe(false);
}

describe('what may be over the next time is tried again', () => {
  test('a connection that is cut, from where it was cut', async () => {
    spoil({ cutAfter: 300_000 }, 3);
    expectWhole(await download());
    expect(bench.ranges(firstShard)).toEqual([undefined, 'bytes=300000-', 'bytes=600000-', 'bytes=900000-']);
  });

  test('a cut that no length gives away', async () => {
    spoil({ cutAfter: 500_000, chunked: true });
    expectWhole(await download());
    expect(bench.ranges(firstShard)).toEqual([undefined, 'bytes=500000-']);
  });

  test('a body that ends early', async () => {
    spoil({ content: content.subarray(0, 400_000), chunked: true });
    expectWhole(await download());
    expect(bench.ranges(firstShard)).toEqual([undefined, 'bytes=400000-']);
  });

  test('silence', async () => {
    spoil({ stallAfter: 200_000 });
    expectWhole(await download({}, { timeout: 300 }));
    expect(bench.ranges(firstShard)).toEqual([undefined, 'bytes=200000-']);
  });

  test.each([503, 429, 408])('status %i', async (status) => {
    spoil({ status, headers: status === 429 ? { 'retry-after': '0' } : {} }, 4);
    expectWhole(await download());
    expect(bench.ranges(firstShard)).toHaveLength(5);
  });

  test('what the hub says about a model', async () => {
    bench.hub.fault = ({ url }, attempt) => {
      if (!url.startsWith('/api/')) return undefined;
      return attempt === 1 ? { status: 500 } : attempt === 2 ? { cutAfter: 10 } : undefined;
    };
    expectWhole(await download());
  });

  test('an address where a link has expired', async () => {
    spoil({ status: 403 });
    expectWhole(await download());
    // Only the hub issues new links.
    expect(bench.resolved().filter((name) => name === firstShard)).toHaveLength(2);
  });

  test('a server that forgets ranges', async () => {
    bench.hub.fault = ({ server, url }, attempt) =>
      server !== 'cdn' || !url.endsWith(firstShard)
        ? undefined
        : attempt === 1
          ? { cutAfter: 300_000 }
          : { ignoreRange: true };
    expectWhole(await download());
  });

  test('bytes that were wrong, once', async () => {
    spoil({ content: Buffer.from(content).fill(7, 1000, 1010) });
    expectWhole(await download());
    expect(bench.ranges(firstShard)).toEqual([undefined, undefined]);
  });
});

describe('what an earlier download has left', () => {
  const leave = async (bytes: Buffer) => {
    bench.hub.fault = ({ url }) => (url.endsWith(firstShard) ? { status: 404 } : undefined);
    await rejection(download());
    writeFileSync(join(bench.model(), 'blobs', `${sha256(content)}.incomplete`), bytes);
    utimesSync(join(bench.model(), 'blobs', `${sha256(content)}.incomplete`), 0, 0);
    bench.hub.reset();
  };

  test('is gone on with', async () => {
    await leave(content.subarray(0, 1_000_000));
    const started: number[] = [];
    expectWhole(
      await download({ onProgress: ({ file, fileBytes }) => file === firstShard && started.push(fileBytes) }),
    );
    expect(bench.ranges(firstShard)).toEqual(['bytes=1000000-']);
    expect(Math.min(...started)).toBeGreaterThanOrEqual(1_000_000);
  });

  test('may be all of it', async () => {
    await leave(content);
    expectWhole(await download());
    expect(bench.ranges(firstShard)).toEqual([]);
  });

  test.each([
    ['wrong', Buffer.alloc(500_000)],
    ['wrong, all of it', Buffer.alloc(content.length)],
    ['more than there is', Buffer.concat([content, Buffer.alloc(10)])],
  ])('is thrown away where it is %s', async (_, bytes) => {
    await leave(bytes);
    expectWhole(await download());
    expect(bench.ranges(firstShard).at(-1)).toBeUndefined();
  });

  test('is thrown away where the server knows no such range', async () => {
    await leave(content.subarray(0, 1000));
    spoil({ status: 416 });
    expectWhole(await download());
    expect(bench.ranges(firstShard)).toEqual(['bytes=1000-', undefined]);
  });
});

describe('what stays wrong is an error, and leaves nothing that looks whole', () => {
  test('bytes', async () => {
    spoil({ content: Buffer.from(content).fill(7, 1000, 1010) }, 9);
    const error = await rejection(download());
    expect(error).toMatchObject({ name: 'RND1Error', code: 'network' });
    expect(error.message).toContain(`${firstShard} of ${repo}`);
    expect(error.message).toContain(`expected ${sha256(content)}`);
    expectNothing();
    // Nor a partial file that the next download would resume.
    expect(bench.parts().filter((name) => name.startsWith(sha256(content)))).toEqual([]);
  });

  test('bytes of a small file', async () => {
    bench.hub.fault = ({ url }) =>
      url.endsWith('/config.json')
        ? { content: Buffer.alloc((nano['config.json'] as Buffer).length, ' ') }
        : undefined;
    await expect(download()).rejects.toThrow(
      /config\.json of .* has the hash [0-9a-f]{40}, expected [0-9a-f]{40}/,
    );
    expectNothing();
  });

  test.each([
    ['short', content.subarray(0, 1000), false, `has 1000 bytes, expected ${content.length}`],
    [
      'long',
      Buffer.concat([content, content]),
      false,
      `has ${2 * content.length} bytes, expected ${content.length}`,
    ],
    ['long, unannounced', Buffer.concat([content, content]), true, `has more than ${content.length} bytes`],
  ])('a size: too %s', async (_, bytes, chunked, message) => {
    spoil({ content: bytes, chunked }, 9);
    const error = await rejection(download());
    expect(error).toMatchObject({ name: 'RND1Error', code: 'network' });
    expect(error.message).toContain(message);
    expectNothing();
  });

  test('a file that is too short, unannounced', async () => {
    spoil({ content: content.subarray(0, 1000), chunked: true }, 1);
    bench.hub.fault = ((first) => (request: Recorded, attempt: number) => {
      if (attempt === 1 || request.server === 'hub') return first(request, attempt);
      return request.url.endsWith(firstShard) ? { status: 416 } : undefined;
    })(bench.hub.fault);
    const error = await rejection(download());
    expect(error).toMatchObject({
      code: 'network',
      message: expect.stringContaining('status 416: no bytes from 0 on (after'),
    });
    expectNothing();
  });

  test('a server', async () => {
    spoil({ status: 503 }, 99);
    const error = await rejection(download());
    expect(error).toMatchObject({ code: 'network' });
    expect(error.message).toContain(
      `${repo} at main, ${firstShard}: ${bench.hub.cdn} answers 503: out of order`,
    );
    expect(error.message).toContain('after 5 attempts');
    expect(error.cause).toMatchObject({ cause: { name: 'Error', statusCode: 503 } });
    expect(bench.ranges(firstShard)).toHaveLength(5);
    expectNothing();
  });

  test('a server that never gets beyond the same place', async () => {
    spoil({ ignoreRange: true, cutAfter: 300_000 }, 99);
    const error = await rejection(download());
    expect(error).toMatchObject({ code: 'network' });
    expect(error.message).toContain('(after 5 attempts)');
    expect(bench.ranges(firstShard).length).toBeLessThan(9);
    expectNothing();
  });

  test('no server', async () => {
    process.env.HF_ENDPOINT = 'http://127.0.0.1:2';
    const error = await rejection(download());
    expect(error).toMatchObject({ code: 'network' });
    expect(error.message).toContain('ECONNREFUSED 127.0.0.1:2');
  });

  test('the other files stay for the next time', async () => {
    spoil({ status: 404 }, 9);
    bench.hub.fault = ({ server, url }) =>
      server === 'cdn' && url.endsWith(firstShard)
        ? { status: 418 }
        : server === 'cdn' && url.endsWith(secondShard)
          ? { stallAfter: 700_000 }
          : undefined;
    await rejection(download({}, { attempts: 1, pause: 1 }));
    expect(bench.parts().every((name) => name.endsWith('.incomplete'))).toBe(true);
    bench.hub.reset();
    expectWhole(await download());
    expect(bench.ranges(secondShard)).toHaveLength(1);
  });
});

describe('a list that means harm', () => {
  test.each([
    ['a hash that is a path', { oid: '../../../../evil', lfs: undefined }],
    [
      'a hash of large files that is a path',
      { lfs: { oid: `../../${'a'.repeat(58)}`, size: 5, pointerSize: 1 } },
    ],
    ['a negative size', { size: -1, lfs: undefined }],
    ['a size beyond numbers', { size: 1e300, lfs: undefined }],
    ['a size that is none', { size: '12', lfs: undefined }],
  ])('%s is refused', async (_, change) => {
    bench.hub.editList = (entries) =>
      entries.map((entry) => (entry.path === 'config.json' ? { ...entry, ...change } : entry));
    const error = await rejection(download());
    expect(error).toMatchObject({ code: 'network' });
    expect(error.message).toContain('config.json');
    expect(existsSync(bench.model())).toBe(false);
  });

  test.each([
    '../evil.safetensors',
    '/etc/evil',
    'a/../../evil',
    '..\\evil',
    'C:evil',
    'a//b',
    'evil\u202e',
    'evil\x1b[2J',
    'evil'.repeat(64),
  ])('an index that leads to %j is refused', async (path) => {
    const index = Buffer.from(JSON.stringify({ weight_map: { 'model.norm.weight': path } }));
    bench.commit = bench.hub.add(repo, { ...nano, 'model.safetensors.index.json': index, [path]: content });
    const error = await rejection(download());
    expect(error).toMatchObject({ code: 'invalid_checkpoint' });
    expect(error.message).toContain('not a path inside the folder');
    expect(bench.resolved().filter((name) => name.includes('evil'))).toEqual([]);
  });

  test('files that nobody wants may have any name', async () => {
    bench.hub.editList = (entries) => [
      { type: 'file', path: '../../evil', size: 5, oid: 'x' },
      { type: 'directory', path: '/etc', size: 0, oid: 'x' },
      ...entries,
    ];
    expectWhole(await download());
  });

  test('an answer that is no list, or has no commit', async () => {
    for (const json of [null, {}, 'x', [null], { sha: 'main' }, { sha: 7 }]) {
      bench.hub.fault = ({ url }) => (url.startsWith('/api/') ? { json } : undefined);
      await expect(download()).rejects.toMatchObject({ name: 'RND1Error', code: 'network' });
    }
    bench.hub.fault = ({ url }) => (url.includes('/tree/') ? { json: [null] } : undefined);
    await expect(download()).rejects.toThrow('answers something that is not a response of the hub API');
  });
});

describe('before the weights', () => {
  test('there must be room for them', async () => {
    const size = 2 ** 52;
    bench.hub.editList = (entries) =>
      entries.map((entry) =>
        entry.path === firstShard ? { ...entry, lfs: { ...(entry.lfs as object), size } } : entry,
      );
    const error = await rejection(download());
    expect(error).toMatchObject({ name: 'RND1Error', code: 'io' });
    expect(error.message).toMatch(/ needs 4503\.6 TB more, but only [\d.]+ [kMGT]?B are free in .*models--/);
    expect(bench.resolved()).not.toContain(firstShard);
  });

  test('the model must be one that can be run', async () => {
    const config = Buffer.from('{ "model_type": "llama" }');
    bench.hub.add(repo, { ...nano, 'config.json': config });
    await expect(download()).rejects.toMatchObject({ code: 'unsupported_model' });
    expect(bench.resolved()).not.toContain(firstShard);
  });

  test.each<[string, string[], string]>([
    ['config.json', ['config.json'], 'has no config.json'],
    [
      'weights',
      ['model.safetensors.index.json'],
      'has neither model.safetensors nor model.safetensors.index.json',
    ],
    ['a shard', [firstShard], `lacks 1 of the 3 shards of its model.safetensors.index.json: '${firstShard}'`],
  ])('the repository must have %s', async (_, missing, message) => {
    bench.hub.add(repo, Object.fromEntries(Object.entries(nano).filter(([name]) => !missing.includes(name))));
    const error = await rejection(download());
    expect(error).toMatchObject({ code: 'invalid_checkpoint' });
    expect(error.message).toContain(`${repo} at main ${message}`);
    for (const shard of wanted.filter((name) => name.endsWith('.safetensors')))
      expect(bench.resolved()).not.toContain(shard);
  });
});

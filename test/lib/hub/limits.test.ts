import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { drip, HostileHub, writeForEver } from './hostile-hub';
import { download, firstShard, nano, rejection, repo, Workbench } from './workbench';

const bench = new Workbench();
const hostile = new HostileHub();
const text = { 'content-type': 'text/plain' };
const json = { 'content-type': 'application/json' };
const once = { attempts: 1 };
const bomb = gzipSync(Buffer.alloc(64 << 20, ' '));

/** Serves the model from the local hub. */
function serveNano(): void {
  process.env.HF_ENDPOINT = bench.hub.url;
}

describe('an answer has bounds', () => {
  test.each([200, 404, 500])('of bytes, with status %i', async (status) => {
    let written = () => 0;
    hostile.answer = (_, response) => {
      response.writeHead(status, status === 200 ? json : text);
      written = writeForEver(response);
    };
    const error = await rejection(download({}, once));
    expect(error).toMatchObject({ name: 'RND1Error', code: status === 404 ? 'not_found' : 'network' });
    expect(error.message.length).toBeLessThan(500);
    // The system buffers more than what is read.
    expect(written()).toBeLessThan(32 << 20);
  });

  test.each([200, 500])('of what is unpacked, with status %i', async (status) => {
    hostile.answer = (_, response) => {
      response.writeHead(status, { ...json, 'content-encoding': 'gzip' }).end(bomb);
    };
    const error = await rejection(download({}, once));
    expect(error.message).toContain(status === 200 ? 'answers more than 8.00 MB' : 'answers 500');
  });

  test.each([
    ['drops', 1, /only \d+ bytes received in \d s \(after 3 attempts\)/],
    ['pieces that never end', 1000, /timeout: no complete response in 0\.4 s \(after 3 attempts\)/],
  ])('of time, for %s', async (_, bytes, message) => {
    hostile.answer = (_, response) => {
      drip(response.writeHead(200, json), bytes);
    };
    const error = await rejection(download({}, { timeout: 200 }));
    expect(error).toMatchObject({ code: 'network' });
    expect(error.message).toMatch(message);
    expect(hostile.requests).toHaveLength(3);
  });

  test('of time for what an error says', async () => {
    hostile.answer = (_, response) => {
      drip(response.writeHead(404, text), 1);
    };
    // Takes less than the test's own limit, although `timeout` is longer.
    await expect(download({}, { ...once, timeout: 60_000 })).rejects.toMatchObject({ code: 'not_found' });
  });

  test('of headers', async () => {
    hostile.answer = (_, response) => {
      response.writeHead(200, { ...json, 'x-long': 'a'.repeat(1 << 20) }).end('{}');
    };
    await expect(download({}, once)).rejects.toMatchObject({ name: 'RND1Error', code: 'network' });
  });

  test('of depth', async () => {
    hostile.answer = (_, response) => {
      response.writeHead(200, json).end(`${'['.repeat(1 << 20)}${']'.repeat(1 << 20)}`);
    };
    await expect(download({}, once)).rejects.toMatchObject({ name: 'RND1Error', code: 'network' });
  });
});

describe('a list has bounds', () => {
  test('of pages, each of which names another', async () => {
    hostile.answer = ({ url = '' }, response) => {
      if (url.includes('/revision/')) {
        response.writeHead(200, json).end(JSON.stringify({ id: repo, sha: 'c'.repeat(40), likes: 0 }));
        return;
      }
      const link = `<${hostile.url}${url.split('?')[0]}?cursor=${hostile.requests.length}>; rel="next"`;
      response.writeHead(200, { ...json, link }).end('[]');
    };
    const error = await rejection(download({}, once));
    expect(error).toMatchObject({ name: 'RND1Error', code: 'network' });
    expect(error.message).toContain('gives a list of more than 200 pages');
    expect(hostile.requests).toHaveLength(201);
  });

  test('of what configuration may weigh', async () => {
    serveNano();
    bench.hub.editList = (entries) =>
      entries.map((entry) =>
        entry.path === 'config.json' ? { ...entry, size: 1e9, lfs: undefined } : entry,
      );
    const error = await rejection(download());
    expect(error).toMatchObject({ code: 'invalid_checkpoint' });
    expect(error.message).toBe(`${repo} at main has 1.00 GB of config.json; the limit is 1.00 MB`);
    expect(bench.resolved()).toEqual([]);
  });

  test.each([
    ['shards', (i: number) => `${i}.safetensors`, 10_001, 'has more than 10000 shards'],
    ['folders', (i: number) => `${i}/a.safetensors`, 101, 'has its weights in more than 100 folders'],
  ])('of %s', async (_, name, count, problem) => {
    serveNano();
    const map = Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, name(i)]));
    const index = Buffer.from(JSON.stringify({ weight_map: map }));
    bench.hub.add(repo, { ...nano, 'model.safetensors.index.json': index });
    const error = await rejection(download());
    expect(error).toMatchObject({ code: 'invalid_checkpoint' });
    expect(error.message).toContain(problem);
  });
});

describe('redirects', () => {
  test.each([301, 302, 303, 307, 308])('%i end', async (status) => {
    hostile.answer = ({ url = '' }, response) => {
      writeForEver(response.writeHead(status, { location: `${url}x` }));
    };
    const error = await rejection(download({}, once));
    expect(error).toMatchObject({ name: 'RND1Error', code: 'network' });
    expect(error.message).toContain('is redirected more than 10 times');
    expect(hostile.requests).toHaveLength(11);
  });

  test.each([
    ['file:///etc/passwd', 'to an invalid address'],
    ['http://', 'to an invalid address'],
    ['http://user:word@127.0.0.1:2/', 'to an address with a password'],
  ])('to %s are refused', async (location, problem) => {
    hostile.answer = (_, response) => {
      response.writeHead(302, { location }).end();
    };
    const error = await rejection(download({}, once));
    expect(error).toMatchObject({ name: 'RND1Error', code: 'network' });
    expect(error.message).toContain(`is redirected ${problem}`);
  });

  test('lose the token at another host, and for good', async () => {
    const elsewhere: (string | undefined)[] = [];
    const other = createServer(({ headers }, response) => {
      elsewhere.push(headers.authorization);
      response.writeHead(302, { location: `${hostile.url}/back` }).end();
    });
    await new Promise<void>((done) => void other.listen(0, '127.0.0.1', done));
    try {
      const { port } = other.address() as AddressInfo;
      hostile.answer = ({ url = '' }, response) => {
        if (url === '/back') response.writeHead(404).end();
        else if (url === '/moved') response.writeHead(302, { location: `http://127.0.0.1:${port}/` }).end();
        else response.writeHead(307, { location: '/moved' }).end();
      };
      await rejection(download({ token: 'hf_of_the_tests' }, once));
      expect(elsewhere).toEqual([undefined]);
      expect(hostile.requests.map(({ authorization }) => authorization)).toEqual([
        'Bearer hf_of_the_tests',
        'Bearer hf_of_the_tests',
        undefined,
      ]);
    } finally {
      other.closeAllConnections();
      other.close();
    }
  });
});

describe('weights that', () => {
  const spoil = (fault: object) => {
    serveNano();
    bench.hub.fault = ({ server, url }) => (server === 'cdn' && url.endsWith(firstShard) ? fault : undefined);
  };

  test('come by drops are given up', async () => {
    spoil({ slowly: 1 });
    const error = await rejection(download({}, { attempts: 2, timeout: 300 }));
    expect(error).toMatchObject({ name: 'RND1Error', code: 'network' });
    expect(error.message).toMatch(/only \d+ bytes received in 0 s \(after 2 attempts\)/);
  });

  test('come a little farther with each request are given up', async () => {
    spoil({ cutAfter: 100 });
    const error = await rejection(download());
    expect(error.message).toMatch(/\(after 5 attempts\)/);
    expect(bench.ranges(firstShard)).toHaveLength(5);
  });
});

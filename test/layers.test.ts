import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, posix, relative, resolve } from 'node:path';

const root = resolve(__dirname, '..');

interface Reference {
  /** The file that includes or imports, from the root of the repository, with forward slashes. */
  readonly file: string;
  readonly target: string;
}

function sources(folder: string, pattern: RegExp): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => posix.join(folder, file.replaceAll('\\', '/')))
    .filter((file) => pattern.test(file) && !file.startsWith('test/fixtures/'))
    .sort();
}

function references(files: readonly string[], pattern: RegExp): Reference[] {
  return files.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(pattern)].map(([, target]) => ({
      file,
      target: target as string,
    })),
  );
}

function outside(folder: RegExp, found: readonly Reference[]): string[] {
  return found.filter(({ file }) => !folder.test(file)).map(({ file, target }) => `${file} has ${target}`);
}

describe('C++ includes', () => {
  const files = ['native', 'test/native', 'bench'].flatMap((folder) =>
    sources(folder, /\.(h|inl|cc|cu|cuh)$/),
  );
  const includes = references(files, /^\s*#\s*include\s*[<"]([^>"]+)[>"]/gm);
  const of = (target: RegExp) => includes.filter((include) => target.test(include.target));

  test('napi.h is for native/napi and native/addon.cc alone', () => {
    const users = of(/^(napi|node_api|js_native_api|uv|v8|node)\b.*\.h$/);
    expect(users.length).toBeGreaterThan(0);
    expect(outside(/^native\/(napi\/|addon\.cc$)/, users)).toEqual([]);
  });

  test('CUDA headers are for native/backend/cuda alone', () => {
    const cuda =
      /^((cuda|cu[bt]|cublas|cudnn)\w*(\.h|\/.*)|cooperative_groups.*|nv\w*\.h|mma\.h|thrust\/.*)$/;
    for (const header of ['cuda.h', 'cuda_runtime.h', 'cuda/std/span', 'mma.h', 'cooperative_groups.h'])
      expect(header).toMatch(cuda);
    expect(outside(/^native\/backend\/cuda\//, of(cuda))).toEqual([]);
  });

  test('intrinsics are for native/backend/cpu alone', () => {
    const users = of(/^([a-z]+intrin|arm_\w+|cpuid)\.h$/);
    expect(users.length).toBeGreaterThan(0);
    expect(outside(/^native\/backend\/cpu\//, users)).toEqual([]);
  });

  // Longest prefix first: the files that a folder may include, besides its own.
  const layers: readonly (readonly [string, RegExp])[] = [
    ['backend/cpu/', /^(core|io)\/|^backend\/[^/]+$/],
    ['backend/cuda/', /^(core|io)\/|^backend\/[^/]+$/],
    ['backend/', /^(core|io)\//],
    ['checkpoint/', /^(core|io)\/|^backend\/[^/]+$/],
    ['training/', /^(core|io|checkpoint|model)\/|^backend\/[^/]+$/],
    ['model/', /^(core|io|checkpoint)\/|^backend\/[^/]+$/],
    ['napi/', /^(core|io|checkpoint|model|training)\/|^backend\/[^/]+$/],
    ['io/', /^core\//],
    ['core/', /^$/],
    ['', /^napi\//],
  ];

  test('each layer includes only itself and the layers below it', () => {
    const own = references(sources('native', /\.(h|inl|cc|cu|cuh)$/), /^\s*#\s*include\s*"([^"]+)"/gm).map(
      ({ file, target }) => ({ file: file.slice('native/'.length), target }),
    );
    expect(own.length).toBeGreaterThan(0);
    const wrong = own.filter(({ file, target }) => {
      const [folder, below] = layers.find(([prefix]) => file.startsWith(prefix)) as (typeof layers)[number];
      const inside = folder !== '' && target.startsWith(folder);
      return !inside && !below.test(target);
    });
    expect(wrong).toEqual([]);
  });
});

describe('TypeScript imports', () => {
  const folders = ['lib', 'test', 'scripts', 'examples', 'bench'];
  const files = folders.flatMap((folder) => sources(folder, /\.[cm]?ts$/));
  const imports = references(files, /(?:\bfrom|\bimport|\brequire\()\s*\(?\s*'(\.[^']*)'/g).map(
    ({ file, target }) => ({
      file,
      target: relative(root, resolve(root, dirname(file), target)).replaceAll('\\', '/'),
    }),
  );
  test('the contract of the addon is for lib and its own tests alone', () => {
    const users = imports.filter(({ target }) => target.startsWith('types/native'));
    expect(users.length).toBeGreaterThan(0);
    expect(outside(/^(test\/)?lib\//, users)).toEqual([]);
  });

  // The folders of lib, from the ground up: what each may import besides itself. `.` holds the public class.
  const rooms: Record<string, readonly string[]> = {
    api: [],
    jinja: [],
    support: ['api'],
    worker: ['support'],
    families: ['api', 'support'],
    checkpoint: ['api', 'support', 'worker', 'families'],
    hub: ['api', 'support', 'checkpoint'],
    runtime: ['api', 'support', 'families', 'checkpoint'],
    quantize: ['api', 'support', 'families', 'checkpoint', 'runtime'],
    chat: ['api', 'support', 'worker', 'jinja', 'families', 'checkpoint'],
    training: ['api', 'support', 'families', 'checkpoint', 'runtime', 'chat'],
    batch: ['support'],
    denoising: ['api', 'support', 'families', 'checkpoint', 'runtime'],
    '.': ['api', 'support', 'families', 'checkpoint', 'hub', 'runtime', 'chat', 'quantize', 'denoising'],
    evaluation: ['.', 'support'],
    bench: ['.', 'support', 'families', 'checkpoint', 'runtime'],
    server: ['.', 'api', 'support', 'worker', 'families', 'checkpoint', 'chat', 'batch', 'denoising'],
    cli: [
      '.',
      'api',
      'support',
      'families',
      'checkpoint',
      'hub',
      'runtime',
      'training',
      'chat',
      'batch',
      'denoising',
      'server',
      'evaluation',
      'bench',
      'training',
    ],
  };
  const roomOf = (file: string) =>
    /^lib\/([^/]+)(?=\/)|^lib\/(jinja|families)$/.exec(file)?.[0]?.slice('lib/'.length) ?? '.';

  test('each folder of lib imports itself and the folders below it', () => {
    const own = imports.filter(({ file, target }) => file.startsWith('lib/') && target.startsWith('lib/'));
    expect([...new Set(own.map(({ file }) => roomOf(file)))].sort()).toEqual(Object.keys(rooms).sort());
    const wrong = own.filter(({ file, target }) => {
      const [from, to] = [roomOf(file), roomOf(target)];
      return from !== to && !rooms[from]?.includes(to);
    });
    expect(wrong).toEqual([]);
  });

  test('no folder of lib can reach itself through others', () => {
    const order = Object.keys(rooms);
    for (const [room, below] of Object.entries(rooms))
      expect(below.filter((each) => order.indexOf(each) >= order.indexOf(room))).toEqual([]);
  });

  test('of the command line only serve and the answers of lines import the server', () => {
    const users = imports.filter(
      ({ file, target }) => file.startsWith('lib/cli/') && roomOf(target) === 'server',
    );
    expect(users.length).toBeGreaterThan(0);
    expect(outside(/^lib\/cli\/(serve|line-server)\.ts$/, users)).toEqual([]);
  });

  test('lib imports nothing but itself, the contract and package.json', () => {
    const own = imports.filter(({ file }) => file.startsWith('lib/'));
    expect(own.filter(({ target }) => !/^(lib\/|types\/native|package\.json$)/.test(target))).toEqual([]);
  });

  // Which folder of lib may import which packages of others.
  const packages: Record<string, RegExp> = {
    '@fastify/busboy': /^lib\/server\//,
    '@fastify/cors': /^lib\/server\//,
    '@fastify/swagger': /^lib\/server\//,
    '@huggingface/hub': /^lib\/hub\//,
    '@huggingface/tokenizers': /^lib\/checkpoint\/tokenizer\/parts\.ts$/,
    '@sinclair/typebox': /^lib\/server\//,
    bullmq: /^lib\/batch\/queue\//,
    bindings: /^lib\/runtime\/binding\.ts$/,
    commander: /^lib\/cli\//,
    echarts: /^lib\/support\/charts\.ts$/,
    fastify: /^lib\/server\//,
    ioredis: /^lib\/batch\/queue\/redis\.ts$|^lib\/batch\/queue\/line-queue\.ts$/,
    hyparquet: /^lib\/evaluation\/data\/parquet\.ts$/,
    'prom-client': /^lib\/server\//,
    undici: /^lib\/hub\//,
    yaml: /^lib\/evaluation\/prompts\/yaml\.ts$/,
  };

  test('each package is imported by the folder that it serves', () => {
    const pattern =
      /(?:\bfrom |\bimport |\brequire\(|\bimport\()'((?!node:)(?:@[\w.-]+\/)?[\w-][\w.-]*)(?:\/[^']*)?'/g;
    const own = references(sources('lib', /\.([cm]?ts|mjs)$/), pattern).filter(
      ({ target }) => !builtinModules.includes(target),
    );
    expect([...new Set(own.map(({ target }) => target))].sort()).toEqual(Object.keys(packages).sort());
    expect(own.filter(({ file, target }) => !packages[target]?.test(file))).toEqual([]);
  });
});

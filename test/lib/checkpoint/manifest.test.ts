import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readManifest } from '../../../lib/checkpoint/manifest';
import { failure, fixtures, packed, safetensors, temporaryFolder } from './files';

const A = { name: 'a', shape: [2] };
const B = { name: 'b', shape: [3, 2] };
const INDEX = 'model.safetensors.index.json';

/** Two shards, one tensor each, with an index. */
function sharded(weightMap: unknown, files: Record<string, Uint8Array> = {}): string {
  return temporaryFolder({
    'one.safetensors': packed([A]),
    'two.safetensors': packed([B]),
    [INDEX]: JSON.stringify({ metadata: { total_size: 32 }, weight_map: weightMap }),
    ...files,
  });
}

describe('a single file', () => {
  test('gives every tensor with its place', async () => {
    const folder = temporaryFolder({ 'model.safetensors': packed([A, B]) });
    const manifest = await readManifest(folder);
    expect(manifest.warnings).toEqual([]);
    expect(manifest.files).toEqual([join(folder, 'model.safetensors')]);
    expect([...manifest.tensors.keys()]).toEqual(['a', 'b']);
    const [a, b] = [...manifest.tensors.values()];
    expect(a).toMatchObject({ file: 0, dtype: 'F32', shape: [2], bytes: 8 });
    expect(b?.offset).toBe((a?.offset ?? 0) + 8);
    expect(manifest.fileBytes).toEqual([(b?.offset ?? 0) + 24]);
  });

  test('comes before an index', async () => {
    const folder = sharded({ b: 'two.safetensors' }, { 'model.safetensors': packed([A]) });
    const { tensors, warnings } = await readManifest(folder);
    expect([...tensors.keys()]).toEqual(['a']);
    expect(warnings).toEqual([`${join(folder, INDEX)} is not read: the folder has model.safetensors`]);
  });

  test('may be a link, as in the cache of the Hub', async () => {
    const blobs = temporaryFolder({ blob: packed([A]) });
    const folder = temporaryFolder();
    symlinkSync(join(blobs, 'blob'), join(folder, 'model.safetensors'));
    expect((await readManifest(folder)).tensors.size).toBe(1);
  });
});

describe('shards', () => {
  test('hold the same tensors as the single file of the same checkpoint', async () => {
    const single = await readManifest(join(fixtures, 'tiny-moe'));
    const shards = await readManifest(join(fixtures, 'tiny-moe-sharded-bf16'));
    expect(shards.files).toHaveLength(3);
    expect([...shards.tensors.keys()].sort()).toEqual([...single.tensors.keys()].sort());
    for (const [name, tensor] of shards.tensors) {
      const twin = single.tensors.get(name);
      expect(tensor).toMatchObject({ dtype: 'BF16', shape: twin?.shape, bytes: (twin?.bytes ?? 0) / 2 });
    }
  });

  test('may hold more than the index lists, and lie in folders inside', async () => {
    const folder = sharded(
      { a: 'deep/er.safetensors' },
      { 'one.safetensors': packed([{ name: 'z', shape: [1] }]) },
    );
    mkdirSync(join(folder, 'deep'));
    writeFileSync(join(folder, 'deep', 'er.safetensors'), packed([A, B]));
    const manifest = await readManifest(folder);
    expect([...manifest.tensors.keys()]).toEqual(['a', 'b']);
    expect(manifest.files).toEqual([join(folder, 'deep', 'er.safetensors')]);
    expect(manifest.warnings).toEqual([
      `${join(folder, INDEX)}: 1 tensors of the shards are not listed, and taken anyway: "b"`,
    ]);
  });

  test('decide where the index says something else, with a warning', async () => {
    const folder = sharded({ a: 'two.safetensors', b: 'one.safetensors', c: 'one.safetensors' });
    const { tensors, files, warnings } = await readManifest(folder);
    expect([...tensors.values()].map(({ name, file }) => [name, files[file]])).toEqual([
      ['a', join(folder, 'one.safetensors')],
      ['b', join(folder, 'two.safetensors')],
    ]);
    const index = join(folder, INDEX);
    expect(warnings).toEqual([
      `${index}: 1 tensors are listed that no shard holds: "c" ("one.safetensors")`,
      `${index}: 2 tensors are in another shard than listed, and taken from there: "a" ("two.safetensors"), "b" ("one.safetensors")`,
    ]);
  });

  test('of two formats are refused', async () => {
    const shard = (name: string, format: string) =>
      safetensors(
        {
          __metadata__: { 'rnd1.format': format },
          [name]: { dtype: 'U8', shape: [1], data_offsets: [0, 1] },
        },
        1,
      );
    const map = { a: 'one.safetensors', b: 'two.safetensors' };
    const files = (other: string) => ({
      'one.safetensors': shard('a', 'q8'),
      'two.safetensors': shard('b', other),
    });
    expect((await readManifest(sharded(map, files('q8')))).metadata.get('rnd1.format')).toBe('q8');
    expect(await failure(() => readManifest(sharded(map, files('q4'))), 'invalid_checkpoint')).toContain(
      'two.safetensors: rnd1.format is "q4", but "q8" in another file',
    );
  });

  test('that are missing are counted and named', async () => {
    const folder = sharded({
      a: 'one.safetensors',
      ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((n) => [`t${n}`, `lost-${n}.safetensors`])),
    });
    const message = await failure(() => readManifest(folder), 'invalid_checkpoint');
    expect(message).toContain('7 of 8 shards are missing');
    expect(message).toContain('"lost-1.safetensors"');
    expect(message).toContain('and 2 more');
  });

  test('with the same tensor in two of them', async () => {
    const folder = sharded(
      { a: 'one.safetensors', b: 'two.safetensors' },
      { 'two.safetensors': packed([A, B]) },
    );
    const message = await failure(() => readManifest(folder), 'invalid_checkpoint');
    expect(message).toContain('tensor "a" is in two files');
    expect(message).toContain('one.safetensors');
    expect(message).toContain('two.safetensors');
  });

  test('that are broken are named', async () => {
    const folder = sharded(
      { a: 'one.safetensors', b: 'two.safetensors' },
      { 'two.safetensors': safetensors('{', 0) },
    );
    expect(await failure(() => readManifest(folder), 'invalid_checkpoint')).toContain(
      join(folder, 'two.safetensors'),
    );
  });
});

describe('an index', () => {
  const map = { a: 'one.safetensors', b: 'two.safetensors' };

  test.each([
    ['its size right', { total_size: 32 }, []],
    ['no metadata', undefined, []],
    ['null for metadata', null, []],
    ['text for metadata', 'none', []],
    ['metadata without a size', { total_parameters: 8, nested: [{ x: null }] }, []],
    ['its size as a fraction', { total_size: 32.5 }, ['total_size is 32.5, the tensors have 32 bytes']],
    ['a wrong size', { total_size: 5 }, ['total_size is 5, the tensors have 32 bytes']],
  ])('with %s is read', async (_, metadata, expected) => {
    const folder = sharded(map, { [INDEX]: Buffer.from(JSON.stringify({ metadata, weight_map: map })) });
    const { tensors, warnings } = await readManifest(folder);
    expect(tensors.size).toBe(2);
    expect(warnings).toEqual(expected.map((warning) => `${join(folder, INDEX)}: ${warning}`));
  });

  test('as Python writes it is read', async () => {
    const text = `\uFEFF{"metadata": {"total_size": 32.0, "x": NaN}, "weight_map": ${JSON.stringify(map)}}\r\n`;
    const folder = sharded(map, { [INDEX]: Buffer.from(text) });
    expect((await readManifest(folder)).warnings).toEqual([]);
  });

  test.each([
    '../model.safetensors',
    'a/../../b.safetensors',
    './one.safetensors',
    '/etc/passwd',
    '..',
    '',
    'a//b',
    'c:\\weights',
    'a\\..\\b',
    'nul\u0000.safetensors',
  ])('that points to %p is refused', async (file) => {
    const folder = sharded({ a: 'one.safetensors', b: file });
    const message = await failure(() => readManifest(folder), 'invalid_checkpoint');
    expect(message).toContain(`tensor "b" is mapped to ${JSON.stringify(file)}`);
  });

  test.each([
    ['no JSON', '{', 'expected a string'],
    ['no object', '[]', "expected '{'"],
    ['no weight_map', '{"metadata": {"total_size": 1.5e3, "x": [null, true, "y"]}}', 'has no weight_map'],
    ['an empty weight_map', '{"weight_map": {}}', 'has no weight_map'],
    ['a list as weight_map', '{"weight_map": []}', "expected '{'"],
    ['a number as file', '{"weight_map": {"a": 1}}', 'expected a string'],
    [
      'a tensor twice',
      '{"weight_map": {"a": "one.safetensors", "a": "two.safetensors"}}',
      'duplicate name "a"',
    ],
    ['a rest', '{"weight_map": {"a": "one.safetensors"}} {}', 'expected the end'],
  ])('with %s is refused', async (_, index, problem) => {
    const folder = temporaryFolder({ 'one.safetensors': packed([A]), [INDEX]: index });
    const message = await failure(() => readManifest(folder), 'invalid_checkpoint');
    expect(message).toContain(join(folder, INDEX));
    expect(message).toContain(problem);
  });
});

describe('a folder', () => {
  test('without weights', async () => {
    const folder = temporaryFolder();
    const message = await failure(() => readManifest(folder), 'invalid_checkpoint');
    expect(message).toBe(`${folder} has neither model.safetensors nor ${INDEX}`);
  });

  test.each([
    [['pytorch_model.bin'], '"pytorch_model.bin"'],
    [
      ['model-2-of-2.safetensors', 'model-1-of-2.safetensors'],
      '"model-1-of-2.safetensors", "model-2-of-2.safetensors"',
    ],
  ])('whose weights are in files that are not read: %j', async (names, told) => {
    const folder = temporaryFolder(Object.fromEntries(['README.md', ...names].map((name) => [name, 'x'])));
    const message = await failure(() => readManifest(folder), 'invalid_checkpoint');
    expect(message).toBe(
      `${folder} has neither model.safetensors nor ${INDEX}; other weight files are not read: ${told}`,
    );
  });

  test('that does not exist, or is a file', async () => {
    const folder = temporaryFolder({ file: 'x' });
    expect(await failure(() => readManifest(join(folder, 'nowhere')), 'io')).toContain('nowhere');
    expect(await failure(() => readManifest(join(folder, 'file')), 'io')).toContain('is not a folder');
  });

  test('whose weights are a folder or a pipe', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model.safetensors');
    mkdirSync(path);
    expect(await failure(() => readManifest(folder), 'io')).toBe(`${path} is not a regular file`);
    if (process.platform === 'win32') return;
    rmSync(path, { recursive: true });
    execFileSync('mkfifo', [path]);
    expect(await failure(() => readManifest(folder), 'io')).toBe(`${path} is not a regular file`);
  });

  test('whose weights may not be read', async () => {
    const folder = temporaryFolder({ 'model.safetensors': packed([A]) });
    chmodSync(join(folder, 'model.safetensors'), 0);
    // The superuser may read everything.
    if (process.getuid?.() === 0) expect((await readManifest(folder)).tensors.size).toBe(1);
    else expect(await failure(() => readManifest(folder), 'io')).toContain('model.safetensors');
  });

  test('is not written to, and may lie under any name', async () => {
    const folder = join(temporaryFolder(), 'Modell ünï 模型');
    cpSync(join(fixtures, 'tiny-moe'), folder, { recursive: true });
    expect((await readManifest(folder)).tensors.size).toBe(102);
  });
});

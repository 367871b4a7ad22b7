import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseHeader, readHeader } from '../../../lib/checkpoint/safetensors';
import { failure, fixtures, safetensors, temporaryFolder } from './files';

const F32 = (shape: number[], begin: number, end: number) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

async function read(bytes: Uint8Array) {
  const path = join(temporaryFolder({ 'a.safetensors': bytes }), 'a.safetensors');
  return readHeader(path);
}

function refused(header: unknown, dataBytes: number): Promise<string> {
  return failure(() => read(safetensors(header, dataBytes)), 'invalid_checkpoint');
}

describe('a valid header', () => {
  test('gives name, dtype, shape, absolute offset and bytes in file order, and the metadata', async () => {
    const header = {
      b: F32([2, 3], 4, 28),
      __metadata__: { format: 'pt', note: 'é' },
      a: { dtype: 'BF16', shape: [2], data_offsets: [0, 4] },
      scalar: { dtype: 'F8_E4M3', shape: [], data_offsets: [28, 29], later: [{ x: null }] },
      empty: { dtype: 'I64', shape: [0, 7], data_offsets: [28, 28] },
      half: { dtype: 'F4', shape: [2, 3], data_offsets: [29, 32] },
    };
    const json = JSON.stringify(header);
    const start = 8 + Buffer.byteLength(json);
    const { tensors, metadata, fileBytes } = await read(safetensors(json, 32));
    expect(tensors).toEqual([
      { name: 'a', dtype: 'BF16', shape: [2], offset: start, bytes: 4 },
      { name: 'b', dtype: 'F32', shape: [2, 3], offset: start + 4, bytes: 24 },
      { name: 'empty', dtype: 'I64', shape: [0, 7], offset: start + 28, bytes: 0 },
      { name: 'scalar', dtype: 'F8_E4M3', shape: [], offset: start + 28, bytes: 1 },
      { name: 'half', dtype: 'F4', shape: [2, 3], offset: start + 29, bytes: 3 },
    ]);
    expect([...metadata]).toEqual([
      ['format', 'pt'],
      ['note', 'é'],
    ]);
    expect(fileBytes).toBe(start + 32);
  });

  test('may be padded with blanks, as the golden checkpoints are', async () => {
    const { tensors } = await readHeader(join(fixtures, 'tiny-moe', 'model.safetensors'));
    expect(tensors).toHaveLength(102);
    expect(tensors.every((tensor) => tensor.offset % 8 === 0)).toBe(true);
  });

  test('may have no tensors, and names that objects give a meaning', async () => {
    expect((await read(safetensors({}, 0))).tensors).toEqual([]);
    const odd = await read(
      safetensors('{"__proto__": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}', 1),
    );
    expect(odd.tensors.map((tensor) => tensor.name)).toEqual(['__proto__']);
  });
});

describe('a file that is cut off', () => {
  const path = () => join(temporaryFolder(), 'cut.safetensors');
  const whole = safetensors({ a: F32([4], 0, 16), b: F32([2], 16, 24) }, 24);

  test('says how many bytes were expected and found, and which tensor suffers', async () => {
    const file = path();
    writeFileSync(file, whole);
    truncateSync(file, whole.length - 10);
    const message = await failure(() => readHeader(file), 'invalid_checkpoint');
    expect(message).toContain(`${file} is truncated`);
    expect(message).toContain(`expected ${whole.length} bytes, it has ${whole.length - 10}`);
    expect(message).toContain('"a"');
    truncateSync(file, whole.length - 8);
    expect(await failure(() => readHeader(file), 'invalid_checkpoint')).toContain('"b"');
  });

  test('inside the header or before it', async () => {
    const file = path();
    writeFileSync(file, whole.subarray(0, 20));
    expect(await failure(() => readHeader(file), 'invalid_checkpoint')).toContain('the file has 20');
    writeFileSync(file, whole.subarray(0, 5));
    expect(await failure(() => readHeader(file), 'invalid_checkpoint')).toContain(
      'expected 8 bytes, it has 5',
    );
    writeFileSync(file, '');
    expect(await failure(() => readHeader(file), 'invalid_checkpoint')).toContain('it has 0');
  });
});

test.each([
  [
    'white space behind it, as writers align data',
    '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}} \n\t\r  ',
  ],
  ['null for its metadata', '{"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'],
])('a header may have %s', async (_, header) => {
  const { tensors, metadata } = await read(safetensors(header, 1));
  expect(tensors).toHaveLength(1);
  expect(metadata.size).toBe(0);
});

describe('a hostile header', () => {
  test('longer than the limit of the format', async () => {
    const bytes = safetensors({}, 0);
    bytes.writeBigUInt64LE(100_000_001n);
    expect(await failure(() => read(bytes), 'invalid_checkpoint')).toContain('100000001');
    bytes.writeBigUInt64LE(2n ** 64n - 1n);
    expect(await failure(() => read(bytes), 'invalid_checkpoint')).toContain('18446744073709551615');
  });

  test('that is a Git LFS pointer', async () => {
    const pointer = Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n');
    expect(await failure(() => read(pointer), 'invalid_checkpoint')).toContain('Git LFS');
  });

  test.each([
    ['not JSON', 'hello', 'expected'],
    ['an array', '[]', "expected '{'"],
    ['something after it', '{} x', 'expected the end'],
    ['white space before it', ' \n\t{}', "expected '{' as the first byte"],
    ['a byte order mark before it', '\uFEFF{}', "expected '{' as the first byte"],
    ['a number that is none', '{"a": {"x": NaN}}', 'expected a value'],
    ['a trailing comma', '{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},}', 'expected a string'],
    ['a tensor that is no object', '{"a": 3}', "expected '{'"],
    ['a bad escape', '{"\\x": 3}', 'bad escape'],
    ['an unfinished string', '{"a', 'unfinished string'],
    ['a line break in a string', '{"a\n": 3}', 'unfinished string'],
    ['metadata that is not text', '{"__metadata__": {"a": 1}}', 'expected a string'],
    ['metadata twice', '{"__metadata__": {}, "__metadata__": {}}', 'duplicate name "__metadata__"'],
    ['a metadata key twice', '{"__metadata__": {"a": "1", "a": "2"}}', 'duplicate name "a"'],
    ['a negative size', '{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', 'expected an integer'],
    ['a fraction', '{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', 'expected an integer'],
    ['an exponent', '{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}', 'expected an integer'],
    ['a leading zero', '{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}', 'expected an integer'],
    [
      'an offset above 2^53',
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[9007199254740992,9007199254740993]}}',
      'expected an integer',
    ],
    ['a dtype that is a number', '{"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}}', 'expected a string'],
    ['a dtype twice', '{"a":{"dtype":"U8","dtype":"U8"}}', 'duplicate name "dtype"'],
    ['too many dimensions', `{"a":{"dtype":"U8","shape":[${'1,'.repeat(40)}1]}}`, 'more than 32 items'],
    [
      'deep nesting',
      `{"a":{"x":${'['.repeat(100_000)}${']'.repeat(100_000)},"dtype":"U8"}}`,
      'nested deeper than 32',
    ],
  ])('with %s', async (_, header, problem) => {
    const message = await refused(header, 1);
    expect(message).toContain('a.safetensors');
    expect(message).toContain(problem);
  });

  test('with bytes that are not UTF-8', async () => {
    const bytes = safetensors('{"aa":1}', 0);
    bytes[10] = 0xff;
    expect(await failure(() => read(bytes), 'invalid_checkpoint')).toContain('not UTF-8');
  });

  test('with the same tensor twice, also when an escape hides it', async () => {
    const tensor = JSON.stringify(F32([1], 0, 4));
    expect(await refused(`{"a": ${tensor}, "a": ${tensor}}`, 4)).toContain('duplicate name "a"');
    expect(await refused(`{"a": ${tensor}, "\\u0061": ${tensor}}`, 4)).toContain('duplicate name "a"');
  });

  test('with more tensors than the limit', async () => {
    const tensor = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}';
    const header = (count: number) =>
      Buffer.from(`{${Array.from({ length: count }, (_, i) => `"${i}":${tensor}`).join()}}`);
    const max = header(500_000);
    expect(parseHeader(max, 8 + max.length, 'f').tensors).toHaveLength(500_000);
    const over = header(500_001);
    const message = await failure(() => parseHeader(over, 8 + over.length, 'f'), 'invalid_checkpoint');
    expect(message).toContain('more than 500000 names');
  });

  test('with a name of a megabyte, which the message cuts', async () => {
    const name = 'n'.repeat(1 << 20);
    const message = await refused({ [name]: { dtype: 'U8', shape: [2], data_offsets: [0, 1] } }, 1);
    expect(message).toContain('nnn…"');
    expect(message.length).toBeLessThan(1000);
  });
});

describe('tensors whose bytes do not fit', () => {
  test.each([
    ['no dtype', { a: { shape: [1], data_offsets: [0, 4] } }, 4, 'tensor "a" has no dtype'],
    ['no shape', { a: { dtype: 'F32', data_offsets: [0, 4] } }, 4, 'tensor "a" has no shape'],
    ['no range', { a: { dtype: 'F32', shape: [1] } }, 4, 'tensor "a" has no data_offsets'],
    [
      'an unknown dtype',
      { a: { dtype: 'Q4_K', shape: [1], data_offsets: [0, 4] } },
      4,
      'unknown dtype "Q4_K"',
    ],
    ['three offsets', { a: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 8] } }, 8, '[0, 4, 8]'],
    ['one offset', { a: { dtype: 'F32', shape: [1], data_offsets: [4] } }, 4, '[4]'],
    ['offsets in the wrong order', { a: F32([1], 4, 0) }, 4, 'begin ≤ end'],
    ['too few bytes', { a: F32([2, 3], 0, 20) }, 20, 'has 20 bytes, but shape [2, 3] of F32 needs 24'],
    ['too many bytes', { a: F32([2, 3], 0, 28) }, 28, 'has 28 bytes, but shape [2, 3] of F32 needs 24'],
    ['an overflowing shape', { a: F32([2 ** 40, 2 ** 40], 0, 0) }, 0, 'below 2^53'],
    ['one that overflows before it is 0', { a: F32([2 ** 40, 2 ** 40, 0], 0, 0) }, 0, 'below 2^53'],
    [
      'a count beyond 2^53 whose bytes are not',
      { a: { dtype: 'F4', shape: [3, 3002399751580331], data_offsets: [0, 2 ** 52] } },
      0,
      'below 2^53',
    ],
    ['half a byte', { a: { dtype: 'F4', shape: [3], data_offsets: [0, 1] } }, 1, 'whole number of bytes'],
    [
      'offsets that end beyond 2^53',
      { a: { dtype: 'U8', shape: [2 ** 53 - 1], data_offsets: [0, 2 ** 53 - 1] } },
      1,
      'ends beyond 2^53',
    ],
    ['an overlap', { a: F32([2], 0, 8), b: F32([2], 4, 12) }, 12, 'tensors "a" and "b" overlap'],
    ['the same bytes', { a: F32([2], 0, 8), b: F32([2], 0, 8) }, 8, 'overlap'],
    ['a gap', { a: F32([1], 0, 4), b: F32([1], 8, 12) }, 12, '4 bytes before tensor "b" belong to no tensor'],
    ['a gap at the start', { a: F32([1], 4, 8) }, 8, '4 bytes before tensor "a"'],
    ['bytes beyond the file', { a: F32([2], 0, 8) }, 4, 'is truncated'],
    ['bytes after the end', { a: F32([2], 0, 8) }, 11, '3 bytes after the last tensor'],
    ['data without tensors', {}, 5, '5 bytes after the last tensor'],
  ])('%s', async (_, header, dataBytes, problem) => {
    const message = await refused(header, dataBytes);
    expect(message).toContain('a.safetensors');
    expect(message).toContain(problem);
  });
});

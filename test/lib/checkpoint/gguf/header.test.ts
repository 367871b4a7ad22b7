import { join } from 'node:path';
import { inspectCheckpoint } from '../../../../lib';
import { readGgufHeader } from '../../../../lib/checkpoint/gguf/header';
import { encode } from '../../../support/gguf/blocks';
import { ggufBytes, type Metadata, type WrittenTensor } from '../../../support/gguf/file';
import { failure, temporaryFolder } from '../files';

const floats = (name: string, ...shape: number[]): WrittenTensor => {
  const count = shape.reduce((product, size) => product * size, 1);
  return { name, type: 'F32', shape, bytes: encode('F32', new Float32Array(count)) };
};
const metadata: Metadata = {
  'general.architecture': { text: 'qwen3' },
  'general.name': { text: 'é' },
  list: { i32s: [1, -2] },
  texts: { texts: ['a', 'b'] },
  flag: { bool: true },
  epsilon: { f32: 1e-6 },
};
const tensors = [
  floats('b', 2, 3),
  { ...floats('a', 64), type: 'Q8_0', shape: [2, 32], bytes: Buffer.alloc(68) },
] as const;
const bytes = ggufBytes(metadata, tensors);

function fileOf(content: Uint8Array): string {
  return join(temporaryFolder({ 'm.gguf': content }), 'm.gguf');
}

const refused = (content: Uint8Array) => failure(() => readGgufHeader(fileOf(content)), 'invalid_checkpoint');

/** The bytes with some overwritten, where a text begins or `at`. */
function patched(at: string | number, value: number, size = 8): Buffer {
  const copy = Buffer.from(bytes);
  const offset = typeof at === 'number' ? at : copy.indexOf(at);
  if (size === 8) copy.writeBigUInt64LE(BigInt(value), offset);
  else copy.writeUInt32LE(value, offset);
  return copy;
}

test('a header gives metadata, and tensors with row-major shapes and absolute places', async () => {
  const header = await readGgufHeader(fileOf(bytes));
  expect(Object.fromEntries(header.metadata)).toEqual({
    'general.architecture': 'qwen3',
    'general.name': 'é',
    list: [1, -2],
    texts: ['a', 'b'],
    flag: true,
    epsilon: 1e-6,
  });
  const [first] = header.tensors;
  expect(first).toMatchObject({ name: 'b', dtype: 'F32', shape: [2, 3], bytes: 24 });
  expect((first?.offset ?? 1) % 32).toBe(0);
  expect(header.tensors[1]).toMatchObject({ name: 'a', dtype: 'Q8_0', shape: [2, 32], bytes: 68 });
  expect(header.tensors[1]?.offset).toBe((first?.offset ?? 0) + 32);
  expect(header.fileBytes).toBe(bytes.length);
});

test('a header may be longer than what is read first', async () => {
  const long = 'x'.repeat(1_000_000);
  const texts = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, { text: long }]));
  const header = await readGgufHeader(fileOf(ggufBytes({ ...texts, ...metadata }, tensors)));
  expect(header.metadata.get('k19')).toBe(long);
  expect(header.tensors).toHaveLength(2);
});

describe('refused, naming the file:', () => {
  test('every shorter file', async () => {
    for (let length = 0; length < bytes.length - 30; length += 7) {
      expect(await refused(bytes.subarray(0, length))).toMatch(/m\.gguf(:| is truncated)/);
    }
    const end = bytes.length - 32 + 68 - 64;
    expect(await refused(bytes.subarray(0, end - 1))).toContain('tensor "a" ends at byte');
  });

  const cases: readonly (readonly [string, Uint8Array, string])[] = [
    ['another format', Buffer.from('PK\u0003\u0004 and so on'), 'does not begin with GGUF'],
    ['version 1', patched(4, 1, 4), 'version 1 is not read'],
    ['big-endian', patched(4, 0x03000000, 4), 'big-endian'],
    ['too many tensors', patched(8, 1e12), 'it would have 1000000000000 tensors'],
    ['too many keys', patched(16, 1e12), 'it would have 1000000000000 keys'],
    ['long keys', patched(24, 1e12), 'a key has 1000000000000 bytes'],
    ['numbers beyond 2^53', patched(16, 2 ** 63), 'beyond 2^53'],
    [
      'unknown types of values',
      patched(bytes.indexOf('flag') + 4, 77, 4),
      '"flag" is of a type that is not read',
    ],
    [
      'lists of lists',
      patched(bytes.indexOf('list') + 8, 9, 4),
      '"list" is a list of a type that is not read',
    ],
    ['long lists', patched(bytes.indexOf('list') + 12, 1e9), '"list" have more than 4000000 values'],
    ['five dimensions', ggufBytes(metadata, [floats('a', 1, 1, 1, 1, 1)]), 'tensor "a" has 5 dimensions'],
    ['no elements', ggufBytes(metadata, [{ ...floats('a', 1), shape: [0] }]), 'the impossible shape [0]'],
    [
      'huge shapes',
      ggufBytes(metadata, [{ ...floats('a', 1), shape: [2 ** 40, 2 ** 40] }]),
      'the impossible shape',
    ],
    [
      'half blocks',
      ggufBytes(metadata, [{ ...floats('a', 1), type: 'Q4_K', shape: [96] }]),
      'whole blocks of 256',
    ],
    ['a name twice', ggufBytes(metadata, [floats('a', 1), floats('a', 1)]), 'tensor "a" occurs twice'],
    [
      'odd alignment',
      ggufBytes({ 'general.alignment': { u32: 12 } }, []),
      'general.alignment must be a power of two',
    ],
  ];
  test.each(cases)('%s', async (_, content, message) => {
    const text = await refused(content);
    expect(text).toContain(message);
    expect(text).toContain('m.gguf');
  });

  test('unknown types, and places that overlap, have gaps or are not aligned', async () => {
    // After a tensor's name: dimensions, their number, type, offset.
    const info = bytes.lastIndexOf(Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0x61, 2, 0, 0, 0]));
    const [type, offset] = [info + 9 + 4 + 16, info + 9 + 4 + 20];
    expect(await refused(patched(type, 99, 4))).toContain('tensor "a" has the unknown type 99');
    expect(await refused(patched(offset, 0))).toContain('overlap');
    expect(await refused(patched(offset, 40))).toContain('no multiple of 32');
    expect(await refused(patched(offset, 96))).toContain('belong to no tensor');
  });

  test('a key twice', async () => {
    const twice = Buffer.from(bytes);
    twice.write('flag', twice.indexOf('list'));
    expect(await refused(twice)).toContain('the key "flag" occurs twice');
  });
});

test('a missing file is an io error', async () => {
  await failure(() => inspectCheckpoint('/nonexistent/m.gguf'), 'io');
});

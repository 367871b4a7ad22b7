import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { RND1Error, type RND1ErrorCode } from '../../lib';
import { copyOf, failureOf, open, patchJson, root, TensorFile } from './support';

/** Spoils a checkpoint folder. */
type Spoil = (folder: string) => void;

const single = 'model.safetensors';
const shard = 'model-00002-of-00003.safetensors';
const index = 'model.safetensors.index.json';
const gate = 'model.layers.1.mlp.gate.weight';

/** Writes the file again as `change` leaves it, with the header that it returns, if any. */
function edit(change: (file: TensorFile) => unknown): Spoil {
  return (folder) => {
    const file = new TensorFile(join(folder, single));
    const text = change(file);
    file.write(typeof text === 'string' ? text : undefined);
  };
}

const header = (text: string): Spoil => edit(() => text);

/** Replaces the first 8 bytes, the length of the header. */
function headerLength(length: bigint): Spoil {
  return (folder) => {
    const bytes = readFileSync(join(folder, single));
    bytes.writeBigUInt64LE(length);
    writeFileSync(join(folder, single), bytes);
  };
}

const config =
  (change: object): Spoil =>
  (folder) =>
    patchJson(join(folder, 'config.json'), change);

type Case = readonly [name: string, spoil: Spoil, code: RND1ErrorCode, ...named: string[]];

async function refuses(checkpoint: Parameters<typeof copyOf>[0], [, spoil, code, ...named]: Case) {
  const folder = copyOf(checkpoint);
  spoil(folder);
  const error = await failureOf(() => open(folder));
  expect(error).toBeInstanceOf(RND1Error);
  expect({ code: error.code, message: error.message }).toMatchObject({ code });
  for (const part of named) expect(error.message).toContain(part);
}

describe('a single file', () => {
  const cases: Case[] = [
    ['empty', (f) => truncateSync(join(f, single), 0), 'invalid_checkpoint', single],
    ['cut within the length', (f) => truncateSync(join(f, single), 5), 'invalid_checkpoint', single],
    ['cut within the header', (f) => truncateSync(join(f, single), 500), 'invalid_checkpoint', single],
    [
      'cut by one byte',
      (f) => truncateSync(join(f, single), readFileSync(join(f, single)).length - 1),
      'invalid_checkpoint',
      single,
      'truncated',
    ],
    ['with bytes after the end', (f) => appendFileSync(join(f, single), 'x'), 'invalid_checkpoint', single],
    ['missing', (f) => unlinkSync(join(f, single)), 'invalid_checkpoint', single],
    [
      'a folder',
      (f) => {
        unlinkSync(join(f, single));
        mkdirSync(join(f, single));
      },
      'io',
      single,
    ],
    ['with a header of 0 bytes', headerLength(0n), 'invalid_checkpoint', single],
    ['with a header of 2^63 bytes', headerLength(2n ** 63n), 'invalid_checkpoint', single],
    ['with a header of 2^64 − 1 bytes', headerLength(2n ** 64n - 1n), 'invalid_checkpoint', single],
    ['with a header that is no JSON', header('{"a":'), 'invalid_checkpoint', single],
    ['with a header that is an array', header('[]'), 'invalid_checkpoint', single],
    ['with a header nested 100,000 deep', header('['.repeat(100_000)), 'invalid_checkpoint', single],
    [
      'with a header nested deep in an unknown field',
      header(`{"a":{"b":${'['.repeat(200_000)}`),
      'invalid_checkpoint',
      single,
    ],
    [
      'with a header that is no UTF-8',
      (f) => {
        const bytes = readFileSync(join(f, single));
        bytes[20] = 0xff;
        writeFileSync(join(f, single), bytes);
      },
      'invalid_checkpoint',
      single,
    ],
    [
      'with __proto__ for a tensor',
      header('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
      'invalid_checkpoint',
      single,
    ],
    [
      'without a tensor',
      edit((file) => {
        file.header['something.else'] = file.entry(gate);
        delete file.header[gate];
      }),
      'invalid_checkpoint',
      gate,
    ],
    [
      'with a tensor twice',
      edit((file) =>
        JSON.stringify(file.header).replace('{', `{"${gate}":${JSON.stringify(file.entry(gate))},`),
      ),
      'invalid_checkpoint',
      gate,
    ],
    [
      'with transposed axes',
      edit((file) => void file.entry(gate).shape.reverse()),
      'invalid_checkpoint',
      single,
      gate,
      '[64, 8]',
    ],
    [
      'with an additional axis',
      edit((file) => void file.entry(gate).shape.push(1)),
      'invalid_checkpoint',
      single,
      gate,
    ],
    [
      'with an axis of −8',
      edit((file) => {
        file.entry(gate).shape = [-8, -64];
      }),
      'invalid_checkpoint',
      single,
    ],
    [
      'with an axis of 8.5',
      edit((file) => {
        file.entry(gate).shape = [8.5, 64];
      }),
      'invalid_checkpoint',
      single,
    ],
    [
      'with a product beyond 2^64',
      edit((file) => {
        file.entry(gate).shape = [2 ** 40, 2 ** 40, 0.5, 2 ** 9];
      }),
      'invalid_checkpoint',
      single,
    ],
    [
      'with a shape larger than the bytes',
      edit((file) => {
        file.entry(gate).shape = [8, 65];
      }),
      'invalid_checkpoint',
      gate,
    ],
    [
      'with offsets the wrong way round',
      edit((file) => void file.entry(gate).data_offsets.reverse()),
      'invalid_checkpoint',
      gate,
    ],
    [
      'with offsets beyond the file',
      edit((file) => {
        file.entry(gate).data_offsets = [2 ** 40, 2 ** 40 + 2048];
      }),
      'invalid_checkpoint',
      single,
    ],
    [
      'with offsets beyond 2^53',
      edit((file) => {
        file.entry(gate).data_offsets = [2 ** 60, 2 ** 60 + 2048];
      }),
      'invalid_checkpoint',
      single,
    ],
    [
      'with negative offsets',
      edit((file) => {
        file.entry(gate).data_offsets = [-2048, 0];
      }),
      'invalid_checkpoint',
      single,
    ],
    [
      'with overlapping tensors',
      edit((file) => {
        file.entry(gate).data_offsets = [0, 2048];
      }),
      'invalid_checkpoint',
      single,
      gate,
    ],
    [
      'in integers',
      edit((file) => {
        file.entry(gate).dtype = 'I32';
      }),
      'invalid_checkpoint',
      single,
      gate,
      'I32',
    ],
    [
      'in a dtype nobody knows',
      edit((file) => {
        file.entry(gate).dtype = 'F12';
      }),
      'invalid_checkpoint',
      gate,
      'F12',
    ],
    [
      'called bf16 though it is f32',
      edit((file) => {
        file.entry(gate).dtype = 'BF16';
      }),
      'invalid_checkpoint',
      gate,
    ],
  ];
  it.each(cases)('%s is refused by name', (...entry) => refuses('tiny-moe', entry as unknown as Case));
});

describe('shards', () => {
  const path = (folder: string) => join(folder, shard);
  const cases: Case[] = [
    ['a shard is cut', (f) => truncateSync(path(f), 200_000), 'invalid_checkpoint', shard, 'truncated'],
    ['a shard is empty', (f) => truncateSync(path(f), 0), 'invalid_checkpoint', shard],
    ['a shard is missing', (f) => unlinkSync(path(f)), 'invalid_checkpoint', shard],
    [
      'a shard is a folder',
      (f) => {
        unlinkSync(path(f));
        mkdirSync(path(f));
      },
      'io',
      shard,
    ],
    [
      'a shard is another one',
      (f) => writeFileSync(path(f), readFileSync(join(f, shard.replace('2', '1')))),
      'invalid_checkpoint',
    ],
    [
      'a shard is a Git LFS pointer',
      (f) => writeFileSync(path(f), 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'),
      'invalid_checkpoint',
      shard,
      'LFS',
    ],
    ['the index is no JSON', (f) => writeFileSync(join(f, index), '{'), 'invalid_checkpoint', index],
    ['the index has no map', (f) => writeFileSync(join(f, index), '{}'), 'invalid_checkpoint', index],
    [
      'the index leaves the folder',
      (f) => writeFileSync(join(f, index), '{"weight_map":{"a":"../../etc/passwd"}}'),
      'invalid_checkpoint',
      '../../etc/passwd',
    ],
    [
      'the index names an absolute path',
      (f) => writeFileSync(join(f, index), '{"weight_map":{"a":"/etc/passwd"}}'),
      'invalid_checkpoint',
      '/etc/passwd',
    ],
    ['the index is missing', (f) => unlinkSync(join(f, index)), 'invalid_checkpoint', index],
  ];
  it.each(cases)('%s: refused by name', (...entry) =>
    refuses('tiny-moe-sharded-bf16', entry as unknown as Case),
  );

  it('load where the index lists too much, with a warning', async () => {
    const folder = copyOf('tiny-moe-sharded-bf16');
    const { weight_map } = JSON.parse(readFileSync(join(folder, index), 'utf8'));
    patchJson(join(folder, index), { weight_map: { ...weight_map, phantom: shard } });
    const model = await open(folder);
    expect(model.info.warnings).toEqual([expect.stringContaining(`no shard holds: "phantom" ("${shard}")`)]);
    await model.dispose();
  });
});

describe('a config', () => {
  const cases: Case[] = [
    ['missing', (f) => rmSync(join(f, 'config.json')), 'invalid_checkpoint', 'config.json'],
    ['no JSON', (f) => writeFileSync(join(f, 'config.json'), 'rnd1'), 'invalid_checkpoint', 'config.json'],
    [
      'of more layers than there are',
      config({ num_hidden_layers: 4 }),
      'invalid_checkpoint',
      'model.layers.3.',
    ],
    ['of 2^31 layers', config({ num_hidden_layers: 2 ** 31 }), 'invalid_checkpoint', 'num_hidden_layers'],
    ['of 10,000,000 experts', config({ num_experts: 10_000_000 }), 'invalid_checkpoint', '10000000 experts'],
    ['of another hidden size', config({ hidden_size: 128 }), 'invalid_checkpoint', '128'],
    ['of another vocabulary', config({ vocab_size: 513 }), 'invalid_checkpoint', '513'],
    [
      'of more experts a token than experts',
      config({ num_experts_per_tok: 9 }),
      'invalid_checkpoint',
      'num_experts_per_tok',
    ],
    ['of another model', config({ model_type: 'llama' }), 'unsupported_model', 'llama'],
    [
      'with sliding windows',
      config({ sliding_window: 128, use_sliding_window: true }),
      'unsupported_model',
      'sliding_window',
    ],
  ];
  it.each(cases)('%s is refused by name', (...entry) => refuses('tiny-moe', entry as unknown as Case));
});

it('a refused checkpoint leaves the next one alone', async () => {
  const folder = copyOf('tiny-moe');
  const whole = readFileSync(join(folder, single));
  truncateSync(join(folder, single), 700);
  await failureOf(() => open(folder));
  writeFileSync(join(folder, single), whole);
  const model = await open(folder);
  expect((await model.forward([1, 2])).shape).toEqual([2, 512]);
});

it.each([1, 2, 3])('data %p bytes off alignment give the same logits', async (spaces) => {
  const folder = copyOf('tiny-moe');
  const file = new TensorFile(join(folder, single));
  const json = JSON.stringify(file.header);
  file.write(json + ' '.repeat(((8 - (json.length % 8)) % 8) + spaces));
  const tokens = Int32Array.from({ length: 33 }, (_, i) => (i * 37) % 512);
  const aligned = await open(join(root, 'test', 'fixtures', 'tiny-moe'));
  expect(await (await open(folder)).forward(tokens)).toEqual(await aligned.forward(tokens));
});

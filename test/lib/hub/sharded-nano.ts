import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nanoFolder } from '../../support/models';

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const read = (name: string) => readFileSync(join(nanoFolder, name));

/** A safetensors file with some tensors of another. */
function shardOf(names: readonly string[], header: Record<string, HeaderEntry>, data: Buffer): Buffer {
  let offset = 0;
  const entries = names.map((name) => {
    const { data_offsets: offsets, ...entry } = header[name] as HeaderEntry;
    const bytes = data.subarray(...offsets);
    offset += bytes.length;
    return { name, entry: { ...entry, data_offsets: [offset - bytes.length, offset] }, bytes };
  });
  const json = Buffer.from(
    JSON.stringify(Object.fromEntries(entries.map(({ name, entry }) => [name, entry]))),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...entries.map(({ bytes }) => bytes)]);
}

/** The files of the embedded model, in three shards as large checkpoints have them, and files that are not needed. */
export function shardedNano(folder = ''): Record<string, Buffer> {
  const weights = read('model.safetensors');
  const length = Number(weights.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(weights.toString('utf8', 8, 8 + length)) as Record<
    string,
    HeaderEntry
  >;
  const data = weights.subarray(8 + length);
  const names = Object.keys(header);
  const files: Record<string, Buffer> = {};
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < 3; shard++) {
    const file = `${folder}model-0000${shard + 1}-of-00003.safetensors`;
    const own = names.filter((_name, index) => index % 3 === shard);
    for (const name of own) weightMap[name] = file;
    files[file] = shardOf(own, header, data);
  }
  for (const name of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    files[name] = read(name);
  }
  const index = { metadata: { total_size: data.length }, weight_map: weightMap };
  files['model.safetensors.index.json'] = Buffer.from(JSON.stringify(index));
  files['README.md'] = read('README.md');
  files['pytorch_model.bin'] = Buffer.alloc(100_000, 'x');
  return files;
}

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readManifest } from '../../../lib/checkpoint/manifest';
import { safetensorsHeader, shardName, splitShards } from '../../../lib/checkpoint/writing';

test('a header is read back as it was written, and its data begins at a multiple of 64', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-writing-'));
  for (const name of ['a', 'ä'.repeat(40), 'b'.repeat(63)]) {
    const header = safetensorsHeader(
      [
        { name, dtype: 'BF16', shape: [2, 3], bytes: 12 },
        { name: 'second', dtype: 'U8', shape: [5], bytes: 5 },
      ],
      { format: 'pt' },
    );
    expect(header.length % 64).toBe(0);
    writeFileSync(join(folder, 'model.safetensors'), Buffer.concat([header, Buffer.alloc(17)]));
    const { tensors, metadata } = await readManifest(folder);
    expect([...tensors.values()].map((tensor) => tensor.offset)).toEqual([header.length, header.length + 12]);
    expect(tensors.get(name)).toMatchObject({ shape: [2, 3] });
    expect([...metadata]).toEqual([['format', 'pt']]);
  }
  rmSync(folder, { recursive: true });
});

test('files have at most so many bytes, but for what is larger by itself', () => {
  const split = splitShards([4, 6, 1, 25, 3, 7, 1], (bytes) => bytes, 10);
  expect(split).toEqual([[4, 6], [1], [25], [3, 7], [1]]);
  expect(splitShards([], () => 1, 10)).toEqual([]);
});

test('files are named as others name them', () => {
  expect(shardName(0, 1)).toBe('model.safetensors');
  expect(shardName(1, 13)).toBe('model-00002-of-00013.safetensors');
});

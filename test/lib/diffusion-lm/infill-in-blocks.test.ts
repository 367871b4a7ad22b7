import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiffusionLM } from '../../../lib';
import { fixturesFolder } from '../../support/goldens';
import { nano } from '../cli/rnd1';

const folder = mkdtempSync(join(tmpdir(), 'rnd1-infill-'));
let model: DiffusionLM;

// A model that writes blocks of 32, with a tokenizer of bytes.
beforeAll(async () => {
  cpSync(join(fixturesFolder, 'families', 'tiny-llada2'), folder, { recursive: true });
  cpSync(join(nano, 'tokenizer.json'), join(folder, 'tokenizer.json'));
  model = await DiffusionLM.load({ model: folder, specialTokens: { mask: 379 } });
});

afterAll(async () => {
  await model?.dispose();
  rmSync(folder, { recursive: true });
});

const prefix = 'a'.repeat(28);

test('a suffix that no block sees is refused, since the answer would not depend on it', async () => {
  const hidden = model.infill({ prefix, suffix: 'bcd', length: 4 });
  await expect(hidden).rejects.toThrow(RangeError);
  await expect(hidden).rejects.toThrow(
    'suffix would be ignored: it begins at position 32, as does a block of 32',
  );
  const schedule = { type: 'blocks', length: 8, from: 'canvas', window: 'block' } as const;
  await expect(model.infill({ prefix, suffix: 'bcd', length: 12 }, { schedule })).rejects.toThrow(
    'a block of 8',
  );
});

test('others are written before, and nothing is added after them', async () => {
  for (const [length, suffix] of [
    [3, 'bcd'],
    [5, 'bcd'],
    [4, ''],
  ] as const) {
    const { tokens, positions } = await model.infill({ prefix, suffix, length });
    expect(positions).toHaveLength(length);
    expect(tokens).toHaveLength(28 + length + suffix.length);
  }
  const filled = await model.fill([prefix, { length: 4 }, 'bcd']);
  expect(filled.tokens).toHaveLength(35);
});

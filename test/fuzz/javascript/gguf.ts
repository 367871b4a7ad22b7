import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { DiffusionLM, inspectCheckpoint } from '../../../lib/index';
import { convertCheckpoint } from '../../support/gguf/convert';
import { nanoFolder } from '../../support/models';
import { target, unlessRefused } from './target';

/** Bytes that lengths, counts, types and offsets consist of. */
const number = fc.constantFrom(0, 1, 2, 9, 12, 31, 32, 33, 255, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63);

/** GGUF files with a few bytes changed, most of them in the header: they are loaded or refused. */
export const ggufFiles = target('gguf files', 150, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-fuzz-'));
  convertCheckpoint(nanoFolder, folder, join(folder, 'twin'), { type: 'Q8_0' });
  const path = join(folder, 'model.gguf');
  const original = readFileSync(path);
  const header = original.indexOf('output.weight') + 64;
  const change = fc.record({
    at: fc.oneof(
      { weight: 9, arbitrary: fc.nat(header) },
      { weight: 1, arbitrary: fc.nat(original.length - 8) },
    ),
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => [...bytes]),
      number.map((value) => {
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64LE(BigInt(value));
        return [...bytes];
      }),
    ),
  });
  return {
    inputs: fc.record({
      changes: fc.array(change, { minLength: 1, maxLength: 3 }),
      cut: fc.oneof(
        { weight: 6, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.nat(original.length) },
      ),
    }),
    async try({ changes, cut }) {
      const bytes = Buffer.from(original);
      for (const { at, bytes: fresh } of changes) bytes.set(fresh.slice(0, bytes.length - at), at);
      writeFileSync(path, bytes.subarray(0, bytes.length - cut));
      await unlessRefused(() => inspectCheckpoint(path));
      const model = await unlessRefused(() => DiffusionLM.load(path, { device: 'cpu', threads: 1 }));
      if (model === null) return;
      await unlessRefused(() => model.forward(Int32Array.of(1, 2, 3)));
      await model.dispose();
    },
    close: () => rmSync(folder, { recursive: true }),
  };
});

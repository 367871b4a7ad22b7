import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { DiffusionLM, inspectCheckpoint } from '../../../lib/index';
import { nanoFolder as nano } from '../../support/models';
import { mutatedText } from './mutations';
import { target, unlessRefused } from './target';

/** Files of a checkpoint that are JSON. */
const files = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'] as const;

function copyOfNano(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-fuzz-'));
  cpSync(nano, folder, { recursive: true });
  return folder;
}

/** Answers, unless the model, by its configuration, has no room for the canvas, which it must say. */
async function answers(model: DiffusionLM): Promise<void> {
  try {
    await model.generate('What is 1+1?', { maxNewTokens: 4, steps: 1, seed: 1 });
  } catch (error) {
    const room = `but the model attends to ${model.config.architecture.maxPositions}`;
    if (!(error instanceof RangeError && error.message.includes(room))) throw error;
  }
}

/** Configurations and tokenizers are loaded or refused; what loads answers. */
export const configurations = target('configurations', 120, async () => {
  const folder = copyOfNano();
  const originals = new Map(files.map((name) => [name, readFileSync(join(nano, name), 'utf8')]));
  const input = (name: (typeof files)[number]) =>
    mutatedText(JSON.parse(originals.get(name) as string)).map((text) => ({ name, text }));
  return {
    inputs: fc.oneof(...files.map(input)),
    async try({ name, text }) {
      writeFileSync(join(folder, name), text);
      try {
        await unlessRefused(() => inspectCheckpoint(folder));
        const model = await unlessRefused(() => DiffusionLM.load(folder, { device: 'cpu', threads: 1 }));
        if (model === null) return;
        try {
          await unlessRefused(() => answers(model));
        } finally {
          await model.dispose();
        }
      } finally {
        writeFileSync(join(folder, name), originals.get(name) as string);
      }
    },
    close: () => rmSync(folder, { recursive: true }),
  };
});

/** Headers of safetensors files, which say where in the file native code reads. */
export const headers = target('safetensors headers', 200, async () => {
  const folder = copyOfNano();
  const path = join(folder, 'model.safetensors');
  const original = readFileSync(path);
  const length = Number(original.readBigUInt64LE(0));
  const header = JSON.parse(original.toString('utf8', 8, 8 + length));
  const data = original.subarray(8 + length);
  return {
    inputs: fc.record({
      text: mutatedText(header),
      // The true length of the header, or another one.
      length: fc.oneof(
        { weight: 6, arbitrary: fc.constant(null) },
        { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String) },
      ),
      cut: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(data.length) }),
    }),
    async try({ text, length, cut }) {
      const bytes = Buffer.from(text, 'utf8');
      const first = Buffer.alloc(8);
      first.writeBigUInt64LE(BigInt(length ?? bytes.length));
      writeFileSync(path, Buffer.concat([first, bytes, data.subarray(0, data.length - cut)]));
      await unlessRefused(() => inspectCheckpoint(folder));
      const model = await unlessRefused(() => DiffusionLM.load(folder, { device: 'cpu', threads: 1 }));
      if (model === null) return;
      await unlessRefused(() => model.forward(Int32Array.of(1, 2, 3)));
      await model.dispose();
    },
    close: () => rmSync(folder, { recursive: true }),
  };
});

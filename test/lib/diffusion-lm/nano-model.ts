import { join } from 'node:path';
import type { LoadOptions } from '../../../lib/api/types';
import { DiffusionLM } from '../../../lib/index';
import { loadBinding } from '../../../lib/runtime/binding';
import { FakeNative } from '../runtime/fake-native';

/*
 * The embedded model on an addon in TypeScript, a fresh one for every test. A test file that imports this must
 * call `jest.mock('../../../lib/runtime/binding')` itself: jest hoists that call above the imports of the same file only.
 */

export const nano = join(__dirname, '../..', '..', 'models', 'nano');
export const bytes = (text: string) => [...Buffer.from(text)];
export const endOfText = 256;
export const eos = 258;
export const mask = 259;

/** The addon of the running test. */
export let native: FakeNative;
beforeEach(() => {
  native = new FakeNative();
  jest.mocked(loadBinding).mockReturnValue(native.asNative());
});

export const load = (options?: LoadOptions) => DiffusionLM.load(nano, options);
/** The session loaded last. */
export const sessionOf = () => native.sessions.at(-1) as NonNullable<(typeof native.sessions)[number]>;

export async function all<F>(frames: AsyncGenerator<F, unknown, void>): Promise<F[]> {
  const list: F[] = [];
  for await (const frame of frames) list.push(frame);
  return list;
}

/** A model that writes a text from position `start` on, left to right, then EOS and pad. */
export function writes(text: string, start: number) {
  return (tokens: Int32Array) => {
    const logits = new Float32Array(tokens.length * 264);
    const wanted = [...bytes(text), eos];
    for (let position = 1; position < tokens.length; position++) {
      const token = position < start ? 0 : (wanted[position - start] ?? endOfText);
      logits[(position - 1) * 264 + token] = 40 - position / 4;
      // The mask token would be predicted everywhere if it were not banned.
      logits[(position - 1) * 264 + mask] = 50;
    }
    return logits;
  };
}

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RND1Error, type RND1ErrorCode } from '../../../lib/support/errors';

export const fixtures = join(__dirname, '../..', 'fixtures');

const folders: string[] = [];

/** A fresh folder, removed after the test file. */
export function temporaryFolder(files: Record<string, string | Uint8Array> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-'));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** The bytes of a safetensors file: length, header, data. */
export function safetensors(header: unknown, dataBytes: number): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)]);
}

/** A file with the given tensors one after another. */
export function packed(tensors: readonly { name: string; shape: readonly number[]; dtype?: string }[]) {
  const sizes: Record<string, number> = { F32: 4, F64: 8, I64: 8, F16: 2, BF16: 2, U8: 1, F8_E4M3: 1 };
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape, dtype = 'F32' } of tensors) {
    const begin = end;
    end += shape.reduce((a, b) => a * b, 1) * (sizes[dtype] ?? Number.NaN);
    header[name] = { dtype, shape, data_offsets: [begin, end] };
  }
  return safetensors(header, end);
}

/** A file with these tensors; its header has an even length, as checkpoint writers ensure. */
export function evenly(tensors: Parameters<typeof packed>[0], metadata?: Record<string, string>): Buffer {
  const file = packed(tensors);
  const length = Number(file.readBigUInt64LE());
  const header = { ...JSON.parse(file.toString('utf8', 8, 8 + length)), __metadata__: metadata ?? {} };
  const json = JSON.stringify(header);
  const text = Buffer.from(json.padEnd(json.length + (json.length % 2)));
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([start, text, file.subarray(8 + length)]);
}

/** Awaits the failure of a promise or call and checks that it is an `RND1Error` with this code. */
export async function failure(run: () => unknown, code: RND1ErrorCode): Promise<string> {
  let outcome: unknown;
  try {
    outcome = await run();
  } catch (error) {
    if (!(error instanceof RND1Error)) throw error;
    expect(error.code).toBe(code);
    return error.message;
  }
  throw new Error(`expected an RND1Error, got ${String(outcome)}`);
}

/** Reproducible numbers in [0, 1): a Weyl sequence, scrambled. */
export function randomNumbers(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b9);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}

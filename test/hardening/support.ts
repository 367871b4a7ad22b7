import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DiffusionLM, type LoadOptions } from '../../lib';

export const root = resolve(__dirname, '..', '..');

/** What most tests here load with. */
export const onCpu: LoadOptions = { device: 'cpu', dtype: 'f32', threads: 2 };

const folders: string[] = [];
const models: DiffusionLM[] = [];

/** An empty folder, removed after the test file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-hardening-'));
  folders.push(folder);
  return folder;
}

/** A copy of a golden checkpoint, to be spoilt; removed after the test file. */
export function copyOf(checkpoint: 'tiny-moe' | 'tiny-moe-sharded-bf16'): string {
  const folder = temporaryFolder();
  cpSync(join(root, 'test', 'fixtures', checkpoint), folder, { recursive: true });
  return folder;
}

/** Loads a model that is disposed after the test file. */
export async function open(folder: string, options: LoadOptions = {}): Promise<DiffusionLM> {
  const model = await DiffusionLM.load(folder, { ...onCpu, ...options });
  models.push(model);
  return model;
}

/** Changes fields of a JSON file. */
export function patchJson(path: string, change: object): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
}

export interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** A safetensors file taken apart. */
export class TensorFile {
  readonly header: Record<string, HeaderEntry>;
  data: Buffer;

  constructor(readonly path: string) {
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE(0));
    this.header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
    this.data = bytes.subarray(8 + length);
  }

  entry(name: string): HeaderEntry {
    const entry = this.header[name];
    if (entry === undefined) throw new Error(`${this.path} has no ${name}`);
    return entry;
  }

  /** Writes the file, with this header as it is where one is given. */
  write(header: string = JSON.stringify(this.header)): void {
    const json = Buffer.from(header);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    writeFileSync(this.path, Buffer.concat([length, json, this.data]));
  }
}

/** A failure that must come; `toMatchObject` and `toThrow` are for what it says. */
export async function failureOf(run: () => unknown): Promise<Error & { code?: string }> {
  let value: unknown;
  try {
    value = await run();
  } catch (error) {
    return error as Error;
  }
  throw new Error(`no failure: ${String(value)}`);
}

afterAll(async () => {
  for (const model of models.splice(0)) await model.dispose();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Answer } from '../../../lib/batch/outcome';

/** Paths in a temporary folder that exists while the tests of the calling file run. */
export function batchFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-batch-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let fresh = 0;
  const path = (name = String(fresh++)) => join(folder, name);
  /** Writes a file of lines, objects as JSON. */
  const write = (lines: readonly (string | object)[]) => {
    const file = path();
    const texts = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
    writeFileSync(file, texts.map((text) => `${text}\n`).join(''));
    return file;
  };
  return { path, write };
}

/** A line of an input. */
export const lineOf = (custom_id: string, body: object = { prompt: custom_id }, url = '/v1/completions') => ({
  custom_id,
  method: 'POST',
  url,
  body,
});

/** Inputs whose lines are named 0, 1, 2, … */
export const manyLines = (count: number) => Array.from({ length: count }, (_, i) => lineOf(String(i)));

export const textOf = (path: string) => readFileSync(path, 'utf8');

/** The lines of an output. */
export const outputOf = (path: string) =>
  textOf(path)
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

/** Answers every line with its custom_id, in a time that differs from line to line. */
export const echo: Answer = async ({ customId, id, key }) => {
  for (let turns = (key[0] as number) % 16; turns > 0; turns--) await new Promise(setImmediate);
  const body = { echo: customId, usage: { completion_tokens: 2 } };
  return { response: { status: 200, requestId: id, body } };
};

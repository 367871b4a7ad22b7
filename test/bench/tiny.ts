import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, start } from '../lib/cli/rnd1';

/** Sizes at which a bench takes no time: what it prints means nothing. */
export const tinySizes: Readonly<Record<string, string>> = {
  rows: '3,5',
  canvases: '2',
  hidden: '64',
  heads: '4',
  'key-value-heads': '2',
  'head-dim': '32',
  experts: '8',
  'experts-per-token': '2',
  'expert-width': '32',
  vocabulary: '300',
};

/** The command-line form of some of `tinySizes`. */
export function sizeOptions(...names: readonly string[]): string[] {
  return names.flatMap((name) => [`--${name}`, tinySizes[name] as string]);
}

const folders: string[] = [];

/** A fresh folder, removed after the test file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-bench-'));
  folders.push(folder);
  return folder;
}

afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Runs a script of bench/ as its manual says, with `--json` into a temporary file. */
export async function runScript(script: string, args: readonly string[]) {
  const file = join(temporaryFolder(), 'figures.json');
  const tsx = join(root, 'node_modules', 'tsx', 'dist', 'cli.mjs');
  const command = [tsx, join('bench', script), ...args, '--json', file];
  const { code, stdout, stderr } = await start(process.execPath, command);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return { stdout, json: JSON.parse(readFileSync(file, 'utf8')) };
}

/** Every one of these fields is a finite number above zero. */
export function expectPositive(values: Readonly<Record<string, unknown>>, fields: readonly string[]): void {
  const wrong = fields.filter((field) => !(Number.isFinite(values[field]) && (values[field] as number) > 0));
  expect({ wrong, values }).toEqual({ wrong: [], values });
}

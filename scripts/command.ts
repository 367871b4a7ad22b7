import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';

/** The root folder of the checkout. */
export const root = resolve(__dirname, '..');

/** A failure whose message is meant for the user: printed without a stack. */
export class BuildError extends Error {}

export interface Outcome {
  readonly ok: boolean;
  /** stdout and stderr, interleaved as on a terminal. */
  readonly output: string;
}

/** Runs a program in the checkout and captures its output. */
export function capture(program: string, args: readonly string[], cwd = root): Outcome {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-build-'));
  const file = join(folder, 'output');
  const descriptor = openSync(file, 'w');
  // The tools started below must find this very Node as `node`.
  const path = `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}`;
  try {
    const { status, error } = spawnSync(program, args, {
      cwd,
      env: { ...process.env, PATH: path },
      stdio: ['ignore', descriptor, descriptor],
    });
    const output = readFileSync(file, 'utf8');
    return { ok: status === 0, output: error ? `${output}${error.message}\n` : output };
  } finally {
    closeSync(descriptor);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a JavaScript tool by its file inside node_modules. */
export function captureTool(file: string, args: readonly string[], cwd = root): Outcome {
  return capture(process.execPath, [join(root, 'node_modules', file), ...args], cwd);
}

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Prints a tool's output without blank lines at both ends. */
export function show(output: string): void {
  const text = output.replace(/^\s*\n/, '').trimEnd();
  if (text) say(text);
}

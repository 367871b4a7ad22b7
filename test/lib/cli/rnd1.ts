import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const root = resolve(__dirname, '../..', '..');
/** The embedded model. */
export const nano = join(root, 'models', 'nano');
/** A checkpoint without a tokenizer. */
export const tiny = join(root, 'test', 'fixtures', 'tiny-moe');
const main = join(root, 'dist', 'cli', 'main.js');

export interface Outcome {
  /** null if a signal ended the process. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Standard input. @default '' */
  readonly input?: string;
  readonly cwd?: string;
  /** Milliseconds after which it is ended. */
  readonly timeout?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** Called with the whole standard output so far. */
  readonly onOutput?: (stdout: string, kill: (signal: NodeJS.Signals) => void) => void;
  /** The same for standard error. */
  readonly onErrorOutput?: (stderr: string, kill: (signal: NodeJS.Signals) => void) => void;
}

/** Runs a program until it exits. */
export async function start(
  program: string,
  args: readonly string[],
  { input = '', cwd = root, env = {}, timeout = 50_000, onOutput, onErrorOutput }: RunOptions = {},
): Promise<Outcome> {
  // Test hubs run on this machine and must not be reached through a proxy.
  const direct = { NO_PROXY: '*', no_proxy: '*' };
  const child = spawn(program, args, { cwd, env: { ...process.env, ...direct, ...env }, timeout });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
    onOutput?.(stdout, (signal) => child.kill(signal));
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
    onErrorOutput?.(stderr, (signal) => child.kill(signal));
  });
  child.stdin.on('error', () => {}).end(input);
  return new Promise((done, fail) => {
    child.on('error', fail).on('close', (code) => done({ code, stdout, stderr }));
  });
}

/** Runs the built command line as a user would. */
export function rnd1(args: readonly string[], options?: RunOptions): Promise<Outcome> {
  if (!existsSync(main)) throw new Error(`${main} is missing: npm run build makes it`);
  return start(process.execPath, [main, ...args], options);
}

/** Returns paths in a temporary folder that exists while the tests of the calling file run. */
export function scratchFolder(): (name: string) => string {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'rnd1-cli-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (name) => join(folder, name);
}

/** Parses output with one JSON value per line. */
export const jsonLines = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './support';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where the golden checkpoint lies, for the scripts of children. */
export const tinyMoe = join(root, 'test', 'fixtures', 'tiny-moe');

/** Before every script: the built package, its addon, and options that load a small model on the CPU. */
const prelude = `
const { DiffusionLM } = require(${JSON.stringify(root)});
const { loadBinding } = require(${JSON.stringify(join(root, 'dist', 'runtime', 'binding.js'))});
const tinyMoe = ${JSON.stringify(tinyMoe)};
const onCpu = { device: 'cpu', dtype: 'f32', threads: 2 };
/** A step that is long enough for something to happen in the middle of it. */
const long = { prefix: [1], length: 4000, steps: 1, seed: 1 };
`;

/** The start of a script for a child or a worker. */
export const script = (body: string): string => `${prelude}(async () => {${body}})();`;

/**
 * Runs a script in a Node.js process of its own; a child that does not end in a minute is killed, which shows as
 * its signal. `kilobytes` limits its address space.
 */
export function runChild(body: string, flags: readonly string[] = [], kilobytes?: number): Promise<Ended> {
  for (const built of ['dist/index.js', 'build/Release/rnd1.node']) {
    if (!existsSync(join(root, built))) throw new Error(`${built} is missing: npm run build makes it`);
  }
  const args = [...flags, '-e', script(body)];
  const limited = ['-c', `ulimit -v ${kilobytes} && exec "$0" "$@"`, process.execPath, ...args];
  const child = kilobytes === undefined ? spawn(process.execPath, args) : spawn('sh', limited);
  const killer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code, signal) => {
      clearTimeout(killer);
      resolve({ code, signal, ...output });
    });
  });
}

/** What a script prints as JSON, once it has ended well. */
export async function printedBy(...call: Parameters<typeof runChild>): Promise<unknown> {
  const { code, signal, stdout, stderr } = await runChild(...call);
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  return JSON.parse(stdout);
}

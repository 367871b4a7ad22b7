import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './rnd1';

const main = join(root, 'dist', 'cli', 'main.js');

/** Starts `rnd1 serve`; resolves once it has printed its address or ended. */
export async function serve(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [main, 'serve', '--port', '0', ...args], {
    env: { ...process.env, ...env },
    timeout: 50_000,
  });
  const output = { stdout: '', stderr: '' };
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const url = await new Promise<string>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text;
      const found = /http:\/\/\S+/.exec(output.stdout)?.[0];
      if (found !== undefined) resolve(found);
    });
    void ended.then(() => resolve(''));
  });
  return { child, url, output, ended };
}

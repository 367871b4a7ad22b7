import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './rnd1';

/** Milliseconds to wait for output. */
const patience = 20_000;

/** The built command line in a pseudo-terminal of util-linux's `script`, typed into as a user would. */
export class Terminal {
  readonly #child;
  /** The exit code. */
  readonly closed: Promise<number | null>;
  #output = '';
  #seen = 0;

  constructor(args: readonly string[]) {
    const words = [process.execPath, join(root, 'dist/cli/main.js'), ...args];
    // Without `exec` some shells stay, get the Ctrl-C of the terminal too, and end with its exit code.
    const line = `stty columns 60 rows 20; exec ${words.map((word) => `'${word}'`).join(' ')}`;
    const env = { ...process.env, TERM: 'xterm' };
    this.#child = spawn('script', ['-qec', line, '/dev/null'], { env, timeout: 50_000 });
    this.#child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      this.#output += chunk;
    });
    this.closed = new Promise((resolve) => this.#child.on('close', resolve));
  }

  /** Waits for text after all that was waited for before; returns the output up to its end. */
  async until(text: string): Promise<string> {
    const end = performance.now() + patience;
    for (;;) {
      const found = this.#output.indexOf(text, this.#seen);
      if (found >= 0) {
        const passed = this.#output.slice(this.#seen, found + text.length);
        this.#seen = found + text.length;
        return passed;
      }
      const rest = JSON.stringify(this.#output.slice(this.#seen));
      if (performance.now() > end) throw new Error(`no ${JSON.stringify(text)} in ${rest}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  type(keys: string): void {
    this.#child.stdin.write(keys);
  }
}

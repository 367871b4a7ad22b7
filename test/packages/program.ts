import { execFile } from 'node:child_process';
import { mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../scripts/toolchain';

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A machine without tools: a home that is empty and a PATH on which there is nothing but Node.
 *
 * @param folder where these are made
 */
export class BareMachine {
  readonly #env: NodeJS.ProcessEnv;
  readonly #npm = realpathSync(findProgram('npm') as string);

  constructor(folder: string) {
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    symlinkSync(process.execPath, join(bin, 'node'));
    this.#env = { PATH: bin, HOME: folder, npm_config_cache: join(folder, 'cache'), NO_COLOR: '1' };
  }

  node(args: readonly string[], cwd: string): Promise<Finished> {
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        args,
        { cwd, env: this.#env, maxBuffer: 1 << 26 },
        (error, stdout, stderr) => {
          const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
          resolve({ code, stdout, stderr });
        },
      );
    });
  }

  /** `npm install` of these packages with lifecycle scripts off, from this registry alone. */
  install(packages: readonly string[], registry: string, cwd: string): Promise<Finished> {
    const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--registry', registry];
    return this.node([this.#npm, 'install', ...packages, ...options], cwd);
  }
}

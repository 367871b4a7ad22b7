import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const { name, version } = require('../../package.json') as { name: string; version: string };

/** Modules that run in worker threads, by their place in the built package. */
export type ThreadModule = 'worker/tokenizer-thread' | 'server/template-thread';

/**
 * The file of such a module: beside this code, in the checkout's build where the sources run, or, where a bundler took
 * this code into another file, in the package that is still installed. Null when there is none.
 */
export function threadFile(module: ThreadModule): string | null {
  const file = `${module}.js`;
  for (const folder of [join(__dirname, '..'), join(__dirname, '..', '..', 'dist')]) {
    if (existsSync(join(folder, file))) return join(folder, file);
  }
  try {
    // Computed, so that bundlers leave it alone.
    const manifest = require.resolve(`${name}/package.json`);
    const installed = join(dirname(manifest), 'dist', file);
    const same = (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version === version;
    return same && existsSync(installed) ? installed : null;
  } catch {
    return null;
  }
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../package-root';

const { version } = require('../../package.json') as { version: string };

/** Modules that run in worker threads, by their place in the built package. */
export type ThreadModule = 'worker/tokenizer-thread' | 'server/template-thread';

/**
 * The file of such a module in the built package: the one that this code is of or, where a bundler took this code into
 * another file, the one that is still installed. Null when there is none of the same version.
 */
export function threadFile(module: ThreadModule): string | null {
  const { folder, bundled, require } = packageRoot;
  if (folder === null) return null;
  if (bundled && (require(join(folder, 'package.json')) as { version: string }).version !== version)
    return null;
  const file = join(folder, 'dist', `${module}.js`);
  return existsSync(file) ? file : null;
}

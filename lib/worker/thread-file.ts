import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../support/package-root';

const { version } = require('../../package.json') as { version: string };

/** Modules that run in worker threads, by their path in the built package. */
export type ThreadModule = 'checkpoint/tokenizer/tokenizer-thread' | 'chat/template-thread';

/**
 * The file of such a module in the built package: in this one or, if a bundler copied this code into another file, in
 * the installed one. Null if there is none of the same version.
 */
export function threadFile(module: ThreadModule): string | null {
  const { folder, bundled, require } = packageRoot;
  if (folder === null) return null;
  if (bundled && (require(join(folder, 'package.json')) as { version: string }).version !== version)
    return null;
  const file = join(folder, 'dist', `${module}.js`);
  return existsSync(file) ? file : null;
}

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const { name } = require('../package.json') as { name: string };

/** The folder of the checkpoint that comes with this package: the nano model, of teaching size. */
export const embeddedFolder: string = findEmbedded();

/** Beside this code, or where it was bundled into a program, in the package that is still installed. */
function findEmbedded(): string {
  const beside = join(__dirname, '..', 'models', 'nano');
  if (existsSync(beside)) return beside;
  try {
    // Computed, so that bundlers leave it alone.
    return join(dirname(require.resolve(`${name}/package.json`)), 'models', 'nano');
  } catch {
    return beside;
  }
}

import { join, resolve } from 'node:path';
import { packageRoot } from './package-root';

/** The folder of the checkpoint that comes with this package: the nano model, of teaching size. */
export const embeddedFolder: string =
  packageRoot.folder === null ? resolve('models', 'nano') : join(packageRoot.folder, 'models', 'nano');

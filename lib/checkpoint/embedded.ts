import { join, resolve } from 'node:path';
import { packageRoot } from '../support/package-root';

/** Folder of the checkpoint that comes with this package: nano, a small model for learning. */
export const embeddedFolder: string =
  packageRoot.folder === null ? resolve('models', 'nano') : join(packageRoot.folder, 'models', 'nano');

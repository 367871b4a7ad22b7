/**
 * Builds the checkout: the native addon into build/Release, the TypeScript into dist. Run by npm's `prepare`.
 * Prints nothing on success, and does little when nothing has changed.
 *
 *     tsx scripts/build.ts [--addon | --typescript | --clean] [--node-gyp]
 */
import { parseArgs } from 'node:util';
import { buildAddon, cleanAddon } from './addon';
import { BuildError, say } from './command';
import { buildTypeScript, cleanTypeScript } from './typescript';

const { values } = parseArgs({
  options: {
    addon: { type: 'boolean', default: false },
    typescript: { type: 'boolean', default: false },
    clean: { type: 'boolean', default: false },
    'node-gyp': { type: 'boolean', default: false },
  },
});

try {
  const everything = !values.addon && !values.typescript;
  if (values.clean) {
    cleanAddon();
    cleanTypeScript();
  } else {
    if (everything || values.addon) buildAddon({ nodeGyp: values['node-gyp'] });
    if (everything || values.typescript) buildTypeScript();
  }
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
}

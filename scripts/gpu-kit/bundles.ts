import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { BuildError, root } from '../command';

const testSuffix = '.test.ts';

/** Names of the test files in a folder of the checkout, without their suffix. */
function testsIn(folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((file) => file.endsWith(testSuffix))
    .map((file) => file.slice(0, -testSuffix.length))
    .sort();
}

/** Gives every source the `__dirname` that it would have if the folder were a checkout. */
const places: Plugin = {
  name: 'places',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const folder = relative(root, dirname(path)).replaceAll('\\', '/');
      if (folder.startsWith('..') || folder.includes('node_modules')) return undefined;
      const source = readFileSync(path, 'utf8');
      const place = `const __dirname = require('node:path').join(kitFolder, '${folder}');`;
      return { contents: /\b__dirname\b/.test(source) ? `${place}${source}` : source, loader: 'ts' };
    });
  },
};

async function bundle(outfile: string, options: BuildOptions): Promise<void> {
  const { warnings } = await build({
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    banner: { js: 'const kitFolder = __dirname;' },
    // Only needed for downloads, and required when the first one starts.
    external: ['@huggingface/hub'],
    plugins: [places],
    logLevel: 'error',
    outfile,
    ...options,
  });
  if (warnings.length > 0) throw new BuildError(warnings.map(({ text }) => text).join('\n'));
}

/**
 * Writes the bundles of a kit: `model-tests.js` with all of test/model, a file in test/model for each of them that runs
 * it, and `whole-model.js`. None needs node_modules or jest.
 */
export async function writeBundles(folder: string): Promise<void> {
  const names = testsIn('test/model');
  const entries = names.map((name) => `  '${name}': () => require('./test/model/${name}${testSuffix}'),`);
  await bundle(join(folder, 'model-tests.js'), {
    stdin: { contents: `module.exports = {\n${entries.join('\n')}\n};\n`, resolveDir: root },
    inject: ['scripts/gpu-kit/jest-shim.ts'],
  });
  await bundle(join(folder, 'whole-model.js'), { entryPoints: ['scripts/gpu-kit/whole-model.ts'] });
  mkdirSync(join(folder, 'test', 'model'), { recursive: true });
  for (const name of names) {
    const run = `require('../../model-tests.js')['${name}']();\n`;
    writeFileSync(join(folder, 'test', 'model', `${name}.test.js`), run);
  }
}

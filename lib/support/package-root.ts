import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join } from 'node:path';

const { name } = require('../../package.json') as { name: string };

/** The folder of this package, and how to resolve packages beside it. */
export interface PackageRoot {
  /** The checkout, or node_modules/rnd1. null if the code is bundled and no package is installed beside it. */
  readonly folder: string | null;
  /** Whether this code runs from a bundle. */
  readonly bundled: boolean;
  /** Node.js's own `require`, which no bundler has replaced. */
  readonly require: { (name: string): unknown; resolve(name: string): string };
}

/** Found once: it does not change while the program runs. */
export const packageRoot: PackageRoot = findRoot();

function findRoot(): PackageRoot {
  // Bundles that are ES modules have no __dirname, and some bundlers put a made-up one in its place.
  const own = typeof __dirname === 'string' && isAbsolute(__dirname) ? dirname(dirname(__dirname)) : null;
  if (own !== null && existsSync(join(own, 'package.json')) && readName(own) === name)
    return { folder: own, bundled: false, require: createRequire(join(own, 'package.json')) };
  // For a program without a file, such as node's REPL, only the working directory is known.
  const places = [own, process.argv[1] === undefined ? process.cwd() : dirname(process.argv[1])];
  const requires = places
    .filter((place) => place !== null && isAbsolute(place))
    .map((place) => createRequire(join(place as string, 'any.js')));
  for (const require of requires) {
    try {
      return { folder: dirname(require.resolve(`${name}/package.json`)), bundled: true, require };
    } catch {
      // Not installed there.
    }
  }
  return {
    folder: null,
    bundled: true,
    require: requires[0] ?? createRequire(join(process.cwd(), 'any.js')),
  };
}

function readName(folder: string): unknown {
  try {
    return createRequire(join(folder, 'any.js'))('./package.json').name;
  } catch {
    return undefined;
  }
}

import { dirname } from 'node:path';
import bindings from 'bindings';
import { RND1Error } from './errors';

/** The native addon. */
export type Native = typeof import('../types/native');

/** Where an addon was looked for in vain, and why that failed. */
interface Attempt {
  readonly place: string;
  readonly error: unknown;
}

let loaded: Native | undefined;

/**
 * The native addon: a build of this checkout first, then the package for this platform. It is loaded on first use,
 * so that importing this package never throws; a failure is not remembered.
 *
 * @throws RND1Error `addon_not_found`, with every attempt, its error and the remedy
 */
export function loadBinding(): Native {
  loaded ??= findBinding(dirname(__dirname), `rnd1-${process.platform}-${process.arch}`);
  return loaded;
}

/** Loads the addon from below `root`, or else from an installed package. */
export function findBinding(root: string, platformPackage: string): Native {
  const attempts: Attempt[] = [];
  try {
    return bindings({ bindings: 'rnd1', module_root: root }) as Native;
  } catch (error) {
    const tries = (error as { tries?: unknown }).tries;
    if (Array.isArray(tries)) {
      const missing = new Error('there is no such file');
      for (const place of tries) attempts.push({ place: String(place), error: missing });
    } else {
      attempts.push({ place: `local build in ${root}`, error });
    }
  }
  try {
    return require(platformPackage) as Native;
  } catch (error) {
    attempts.push({ place: `package ${platformPackage}`, error });
  }
  throw notFound(attempts);
}

function notFound(attempts: readonly Attempt[]): RND1Error {
  const { platform, arch, version } = process;
  const lines = attempts.map(({ place, error }) => `  ${place}: ${firstLine(error)}`);
  return new RND1Error(
    'addon_not_found',
    [
      `The native addon of rnd1 cannot be loaded on ${platform}-${arch}, Node.js ${version}. Tried:`,
      ...lines,
      'Remedy: in a checkout, run `npm install` there; it needs a C++ compiler and CMake or Python.',
      'A package made by `npm pack` carries the addon of the machine that made it, and works on its like only.',
    ].join('\n'),
    { cause: new AggregateError(attempts.map(({ error }) => error)) },
  );
}

/** The first line of a message: Node appends the stack of requires to what it says about missing modules. */
function firstLine(error: unknown): string {
  const message = (error as { message?: unknown } | null)?.message ?? error;
  return String(message).split('\n', 1)[0] as string;
}

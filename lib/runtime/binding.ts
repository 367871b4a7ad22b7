import { existsSync } from 'node:fs';
import { join } from 'node:path';
import bindings from 'bindings';
import { RND1Error } from '../support/errors';
import { type PackageRoot, packageRoot } from '../support/package-root';
import { libraryProblem } from './elf';
import { describeHost, type Host, oldestGlibc, platformPackage, prebuiltFor, thisHost } from './platform';

const { version } = require('../../package.json') as { version: string };

/** The native addon. */
export type Native = typeof import('../../types/native');

/** A place where no addon could be loaded, and the error. */
interface Attempt {
  readonly place: string;
  readonly error: unknown;
}

/** Folders where CMake and node-gyp put the addon, below `build` in a checkout. */
const configurations = ['Release', 'Debug', ''];
const built = configurations.map((folder) => ['module_root', 'build', folder, 'bindings']);

let loaded: Native | undefined;

/**
 * The native addon: a build of this checkout first, then the package for this platform. It is loaded on first use,
 * so that importing this package never throws; a failure is not cached.
 *
 * @throws RND1Error `addon_not_found`, with every attempt, its error and the remedy
 */
export function loadBinding(): Native {
  loaded ??= findBinding(packageRoot);
  return loaded;
}

/** Loads the addon of the checkout `root`, otherwise the package for `host`, which is this machine except in tests. */
export function findBinding(root: PackageRoot, host?: Host): Native {
  const attempts: Attempt[] = [];
  const { folder } = root;
  if (folder !== null && existsSync(join(folder, 'build'))) {
    try {
      const paths = configurations.map((name) => join(folder, 'build', name, 'rnd1.node'));
      refuseBroken(paths.find((path) => existsSync(path)));
      return bindings({ bindings: 'rnd1', module_root: folder, try: built }) as Native;
    } catch (error) {
      attempts.push({
        place: `local build in ${join(folder, 'build')}`,
        error: 'tries' in (error as object) ? new Error('there is no rnd1.node in it') : error,
      });
    }
  }
  const name = platformPackage(host ?? process);
  try {
    return loadPackage(name, root);
  } catch (error) {
    attempts.push({ place: `package ${name}`, error });
  }
  throw notFound(root, host ?? thisHost(), attempts);
}

function loadPackage(name: string, { require }: PackageRoot): Native {
  const installed = (require(`${name}/package.json`) as { version: string }).version;
  if (installed !== version)
    throw new Error(`it is installed as ${installed}, and rnd1 ${version} needs ${version}`);
  refuseBroken(resolved(name, require));
  return require(name) as Native;
}

function resolved(name: string, { resolve }: PackageRoot['require']): string | undefined {
  try {
    return resolve(name);
  } catch {
    // The `require` that follows reports why.
    return undefined;
  }
}

/** Loading a truncated library would crash the process. */
function refuseBroken(path: string | undefined): void {
  const problem = path === undefined || process.platform !== 'linux' ? null : libraryProblem(path);
  if (problem !== null) throw new Error(`${path}: ${problem}`);
}

function notFound(root: PackageRoot, host: Host, attempts: readonly Attempt[]): RND1Error {
  const lines = attempts.map(({ place, error }) => `  ${place}: ${firstLine(error)}`);
  return new RND1Error(
    'addon_not_found',
    [
      `The native addon of rnd1 ${version} cannot be loaded on ${describeHost(host)}, Node.js ${process.version}. Tried:`,
      ...lines,
      `Remedy: ${remedy(root, host, attempts)}`,
    ].join('\n'),
    { cause: new AggregateError(attempts.map(({ error }) => error)) },
  );
}

const build = '`npm install` in a checkout of rnd1 builds one, with a C++20 compiler and CMake or Python.';

// `npm install <name>` would fetch whatever anybody publishes under these names.
const tarballs = 'They are not on npm yet: `npm run package` in a clone of rnd1 makes their tarballs.';

const external = `A bundler included rnd1 in this program. Its addon can't be bundled: it is loaded from node_modules beside the bundle.
Or keep rnd1 itself out of the bundle: esbuild \`external: ['rnd1']\`, webpack \`externals: { rnd1: 'commonjs rnd1' }\`,
vite \`ssr: { external: ['rnd1'] }\`, Next.js \`serverExternalPackages: ['rnd1']\`.`;

function remedy(root: PackageRoot, host: Host, attempts: readonly Attempt[]): string {
  const name = platformPackage(host);
  if (attempts.some(({ error }) => (error as { code?: unknown } | null)?.code === 'ERR_DLOPEN_DISABLED'))
    return `this Node.js is not allowed to load addons: start it without --no-addons, and with --allow-addons if it has
--permission or --experimental-permission.`;
  if (root.folder !== null && existsSync(join(root.folder, 'CMakeLists.txt')))
    return 'run `npm install` in this checkout; it needs a C++20 compiler and CMake or Python.';
  if (host.platform === 'linux' && host.glibc === null)
    return `the prebuilt addons are for glibc ${oldestGlibc} or newer, and this Node.js was built for musl, as in
Alpine images; take one that is based on Debian, such as node:22-slim. Or: ${build}`;
  if (!prebuiltFor.includes(`${host.platform}-${host.arch}`))
    return `there is no prebuilt addon for ${host.platform}-${host.arch}, only for ${prebuiltFor.join(', ')}. ${build}`;
  const error = attempts.at(-1)?.error as { code?: unknown; message?: unknown } | undefined;
  if (error?.code === 'MODULE_NOT_FOUND' && root.bundled)
    return `install rnd1 ${version} and ${name} ${version} where the bundle runs. ${tarballs}\n${external}`;
  if (error?.code === 'MODULE_NOT_FOUND')
    return `install ${name} ${version} beside rnd1. ${tarballs}
It is an optional dependency of rnd1. npm leaves it out with --omit=optional (or --no-optional), and when
node_modules or package-lock.json were made on another kind of machine: then remove both and install again here.`;
  if (/GLIBC_\d/.test(String(error?.message)))
    return `this system's C library is too old for ${name}, whose build.json lists what it needs. ${build}`;
  return `install rnd1 and ${name} of one version. ${tarballs}`;
}

/** The first line of a message, because Node.js appends the require stack to its message about a missing module. */
function firstLine(error: unknown): string {
  const message = (error as { message?: unknown } | null)?.message ?? error;
  return String(message).split('\n', 1)[0] as string;
}

import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { BuildError, captureTool, type Outcome, root, say, show } from './command';
import { cudaBuild } from './cuda';
import { findToolchain, missingTools, type Toolchain } from './toolchain';

const buildFolder = join(root, 'build');

/** The output of a build, where `bindings` looks for it. */
export const addonFile = join(buildFolder, 'Release', 'rnd1.node');

/** Removes a build folder that the tool would reject: a CMake cache of another folder, or another tool's build. */
function discardForeignBuild(tool: 'cmake' | 'node-gyp'): void {
  const cache = join(buildFolder, 'CMakeCache.txt');
  const home = existsSync(cache)
    ? /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1]
    : undefined;
  const stale =
    tool === 'node-gyp'
      ? existsSync(cache)
      : existsSync(join(buildFolder, 'config.gypi')) || (home !== undefined && !sameFolder(home, root));
  if (stale) rmSync(buildFolder, { recursive: true, force: true });
}

function sameFolder(left: string, right: string): boolean {
  return existsSync(left) && realpathSync(left) === realpathSync(right);
}

function buildWithCmake({ compiler }: Toolchain): Outcome {
  discardForeignBuild('cmake');
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(availableParallelism());
  const options = ['--log-level', 'error'];
  if (process.env.CXX && compiler) options.push('--cxx', compiler, '--cc', process.env.CC ?? compiler);
  const cuda = cudaBuild();
  if (cuda.note && !existsSync(addonFile)) say(cuda.note);
  options.push(...cuda.settings.map((setting) => `--CD${setting}`));
  // cmake-js treats any cache as a finished configuration, even a failed one; configuring again is cheap.
  const configured = captureTool('cmake-js/bin/cmake-js', ['configure', ...options]);
  if (!configured.ok) return configured;
  return captureTool('cmake-js/bin/cmake-js', ['build', ...options, '--parallel', jobs]);
}

/** The folder of this Node's headers; null if it was installed without them. */
export function findNodeHeaders(): string | null {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include', 'node', 'common.gypi')) ? prefix : null;
}

function buildWithNodeGyp(): Outcome {
  discardForeignBuild('node-gyp');
  const jobs = process.env.JOBS ?? String(availableParallelism());
  const options = ['--loglevel', 'error', '--jobs', jobs];
  const headers = process.env.npm_config_nodedir ?? findNodeHeaders();
  if (headers) options.push(`--nodedir=${headers}`);
  const outcome = captureTool('node-gyp/bin/node-gyp.js', ['configure', 'build', ...options]);
  if (outcome.ok || headers) return outcome;
  const advice = `node-gyp needs the headers of Node ${process.version}. This Node was installed without them (no include/node
beside it), so node-gyp has tried to download them. Install CMake, which needs no headers, or name a folder that
contains include/node: npm_config_nodedir=/usr/local npm install`;
  return { ok: false, output: `${outcome.output}\n${advice}\n` };
}

// The tools' reports of their own failure (stack, versions, working folder) hide the compiler's messages.
const chatter = new RegExp(
  [
    '^ERROR OMG ',
    '^gyp (info|verb) ',
    '^gyp ERR! (stack +at |stack Error: `make`|(build|configure) error|System|command|cwd|node|not ok|$)',
    '^make: (\\*\\*\\*|Entering|Leaving) ',
  ].join('|'),
);

function withoutChatter(output: string): string {
  const lines = output.split('\n');
  return lines.filter((line) => !chatter.test(line)).join('\n');
}

/**
 * Builds build/Release/rnd1.node: with CMake if it is installed, otherwise with node-gyp, for the CPU only.
 *
 * @throws BuildError after the compiler's messages have been printed
 */
export function buildAddon(options: { nodeGyp: boolean }): void {
  const found = findToolchain();
  const toolchain = options.nodeGyp ? { ...found, cmake: null } : found;
  const missing = missingTools(toolchain);
  if (missing) throw new BuildError(missing);

  const tool = toolchain.cmake ? 'CMake' : 'node-gyp';
  if (!existsSync(addonFile)) say(`Building the native addon with ${tool}, for a minute or so.`);
  const { ok, output } = toolchain.cmake ? buildWithCmake(toolchain) : buildWithNodeGyp();
  if (!ok) {
    show(withoutChatter(output));
    throw new BuildError(`The native addon did not build with ${tool}: see above.`);
  }
  if (/\bwarning\b/i.test(output)) show(output);
  if (!existsSync(addonFile)) throw new BuildError(`${tool} built no ${addonFile}.`);
}

export function cleanAddon(): void {
  rmSync(buildFolder, { recursive: true, force: true });
}

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, capture, root, say } from '../command';
import { buildNativePrograms, nativeProgramsUnavailable } from '../native-programs';
import { findProgram } from '../toolchain';
import type { BuildOrigin } from './stage';

/** The oldest macOS that Node.js 20 runs on. */
const oldestMacos = '11.0';

/**
 * Builds the addon for the packages, and returns its path.
 *
 * @param folder a build folder, relative to the checkout's root; null = build-package, with CUDA if nvcc is installed
 * @throws BuildError after the compiler's messages have been printed
 */
export function buildPortableAddon(folder: string | null): string {
  const unavailable = nativeProgramsUnavailable();
  if (unavailable) throw new BuildError(unavailable);
  const settings: string[] = [];
  if (folder === null) {
    const cuda = process.env.RND1_CUDA ?? (findProgram('nvcc') ? 'ON' : 'OFF');
    settings.push(`RND1_CUDA=${cuda}`);
    say(
      cuda === 'OFF'
        ? 'Building the addon for packages, for a minute or so.'
        : 'Building the addon for packages, with CUDA, for five minutes or so; RND1_CUDA=OFF leaves CUDA out.',
    );
  }
  if (process.platform === 'darwin') settings.push(`CMAKE_OSX_DEPLOYMENT_TARGET=${oldestMacos}`);
  const build = folder ?? 'build-package';
  buildNativePrograms({ folder: build, targets: ['rnd1_portable'], settings });
  const addon = join(root, build, 'portable', 'rnd1.node');
  if (!existsSync(addon)) throw new BuildError(`CMake built no ${addon}.`);
  return addon;
}

/** Commit and compilers of a build folder's addon. `cuda`: it contains CUDA; a compiler in the cache may be unused. */
export function findOrigin(folder: string, cuda: boolean): BuildOrigin {
  const head = capture('git', ['rev-parse', 'HEAD']);
  const changes = capture('git', ['status', '--porcelain']).output.trim() !== '';
  const commit = head.ok ? `${head.output.trim()}${changes ? '+changes' : ''}` : null;
  const languages = cuda ? ['CXX', 'CUDA'] : ['CXX'];
  return { commit, compilers: languages.flatMap((language) => findCompiler(folder, language)) };
}

/** The compiler that CMake recorded: `GNU 12.2.0`. */
function findCompiler(folder: string, language: string): string[] {
  const files = join(root, folder, 'CMakeFiles');
  for (const version of readdirSync(files)) {
    const file = join(files, version, `CMake${language}Compiler.cmake`);
    if (!existsSync(file)) continue;
    const text = readFileSync(file, 'utf8');
    const value = (name: string) => new RegExp(`^set\\(${name} "([^"]*)"\\)`, 'm').exec(text)?.[1];
    return [`${value(`CMAKE_${language}_COMPILER_ID`)} ${value(`CMAKE_${language}_COMPILER_VERSION`)}`];
  }
  return [];
}

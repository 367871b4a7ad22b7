import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { BuildError, captureTool, root, show } from './command';
import { findToolchain, missingTools } from './toolchain';

/** Native programs besides the addon: tests, benches. */
export interface NativePrograms {
  /** The build folder, relative to the root of the checkout. */
  readonly folder: string;
  /** CMake targets, whose names are those of the executables. */
  readonly targets: readonly string[];
  /** CMake variables: `RND1_TESTS=ON`. */
  readonly settings: readonly string[];
  /** Further options of cmake-js. */
  readonly options?: readonly string[];
}

/** The reason why native programs cannot be built here; null if they can. */
export function nativeProgramsUnavailable(): string | null {
  const toolchain = findToolchain();
  return missingTools(toolchain) ?? (toolchain.cmake ? null : 'CMake is not installed.');
}

/**
 * Builds the executables and returns their paths.
 *
 * @throws BuildError after the compiler's messages have been printed
 */
export function buildNativePrograms({ folder, targets, settings, options = [] }: NativePrograms): string[] {
  const path = join(root, folder);
  const common = ['--out', path, '--log-level', 'error', ...options];
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(availableParallelism());
  const steps = [
    ['configure', ...common, ...settings.map((setting) => `--CD${setting}`)],
    ...targets.map((target) => ['build', ...common, '--target', target, '--parallel', jobs]),
  ];
  for (const step of steps) {
    const { ok, output } = captureTool('cmake-js/bin/cmake-js', step);
    if (!ok) {
      show(output);
      throw new BuildError(`${targets.join(' and ')} did not build: see above.`);
    }
  }
  return targets.map((target) => join(path, target));
}

/**
 * Builds the native tests: rnd1_tests, and rnd1_cuda_sim_tests, which runs the CUDA kernels on
 * a simulated GPU.
 *
 *     tsx scripts/native-tests.ts [--sanitize] [--build]   builds and runs them; --build: does not run them
 *
 * --sanitize: only rnd1_tests, under AddressSanitizer and UBSan, which do not support the simulator's stacks.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildAddon } from './addon';
import { BuildError, root, say } from './command';
import { cudaBuild } from './cuda';
import { buildNativePrograms, nativeProgramsUnavailable } from './native-programs';
import { findProgram } from './toolchain';

export const testSettings: readonly string[] = ['RND1_TESTS=ON'];

/** Builds only rnd1_tests, in the same folder as `buildNativeTests`. */
export function buildCpuTests(): string {
  return buildNativePrograms({
    folder: 'build-tests',
    targets: ['rnd1_tests'],
    settings: ordinarySettings(),
  })[0] as string;
}

/** The addon's own objects are what is tested, if CMake built it. */
function ordinarySettings(): string[] {
  return [...testSettings, 'RND1_CUDA_SIM=ON', `RND1_CORE=${addonCore()}`, ...cudaBuild().settings];
}

/** The addon's objects but for Node's part, built anew if needed; empty if CMake did not build the addon. */
export function addonCore(): string {
  const core = join(root, 'build', 'librnd1_core.a');
  if (!existsSync(join(root, 'build', 'CMakeCache.txt'))) return '';
  buildAddon({ nodeGyp: false });
  return existsSync(core) ? core : '';
}

/**
 * Builds the executables and returns their paths.
 *
 * @throws BuildError after the compiler's messages have been printed
 */
export function buildNativeTests({ sanitize }: { sanitize: boolean }): string[] {
  if (!sanitize) {
    return buildNativePrograms({
      folder: 'build-tests',
      targets: ['rnd1_tests', 'rnd1_cuda_sim_tests'],
      settings: ordinarySettings(),
    });
  }
  const clang = findProgram('clang++-16');
  return buildNativePrograms({
    folder: 'build-sanitize',
    targets: ['rnd1_tests'],
    settings: [...testSettings, 'RND1_SANITIZE=ON'],
    options: clang ? ['--cxx', clang, '--cc', clang] : [],
  });
}

function main(): void {
  const unavailable = nativeProgramsUnavailable();
  if (unavailable) throw new BuildError(unavailable);
  const env = { ...process.env, UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1' };
  const programs = buildNativeTests({ sanitize: process.argv.includes('--sanitize') });
  if (process.argv.includes('--build')) return;
  for (const program of programs) {
    const { status, signal } = spawnSync(program, { cwd: root, env, stdio: 'inherit' });
    if (status !== 0) throw new BuildError(`${program} failed (${signal ?? `exit code ${status}`}).`);
  }
}

if (require.main === module) {
  try {
    main();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    say(error.message);
    process.exitCode = 1;
  }
}

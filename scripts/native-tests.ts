/**
 * Builds the native tests, with assertions on: rnd1_tests, and rnd1_cuda_sim_tests, where the CUDA kernels run on a
 * simulated GPU.
 *
 *     tsx scripts/native-tests.ts [--sanitize]   builds and runs them
 *
 * --sanitize: rnd1_tests alone, under AddressSanitizer and UBSan; the simulator's stacks are beyond these.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { BuildError, captureTool, root, say, show } from './command';
import { findProgram, findToolchain, missingTools } from './toolchain';

/** Why the native tests cannot be built here; null when they can. */
export function nativeTestsUnavailable(): string | null {
  const toolchain = findToolchain();
  return missingTools(toolchain) ?? (toolchain.cmake ? null : 'CMake is not installed.');
}

/**
 * Builds the executables and returns their paths.
 *
 * @throws BuildError after the compiler's messages have been printed
 */
export function buildNativeTests(options: { sanitize: boolean }): string[] {
  const folder = join(root, options.sanitize ? 'build-sanitize' : 'build-tests');
  const common = ['--out', folder, '--log-level', 'error'];
  // Without the usual NDEBUG, so that assertions count.
  const settings = ['--CDRND1_TESTS=ON', '--CDCMAKE_CXX_FLAGS_RELEASE=-O3'];
  const clang = findProgram('clang++-16');
  if (options.sanitize) {
    settings.push('--CDRND1_SANITIZE=ON');
    if (clang) common.push('--cxx', clang, '--cc', clang);
  }
  const targets = options.sanitize ? ['rnd1_tests'] : ['rnd1_tests', 'rnd1_cuda_sim_tests'];
  if (!options.sanitize) settings.push('--CDRND1_CUDA_SIM=ON');
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(availableParallelism());
  const steps = [
    ['configure', ...common, ...settings],
    ...targets.map((target) => ['build', ...common, '--target', target, '--parallel', jobs]),
  ];
  for (const step of steps) {
    const { ok, output } = captureTool('cmake-js/bin/cmake-js', step);
    if (!ok) {
      show(output);
      throw new BuildError('The native tests did not build: see above.');
    }
  }
  return targets.map((target) => join(folder, target));
}

function main(): void {
  const unavailable = nativeTestsUnavailable();
  if (unavailable) throw new BuildError(unavailable);
  const env = { ...process.env, UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1' };
  for (const program of buildNativeTests({ sanitize: process.argv.includes('--sanitize') })) {
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

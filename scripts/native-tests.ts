/**
 * Builds the native tests: rnd1_tests, and rnd1_cuda_sim_tests, which runs the CUDA kernels on
 * a simulated GPU.
 *
 *     tsx scripts/native-tests.ts [--sanitize] [--build]   builds and runs them; --build: does not run them
 *
 * --sanitize: only rnd1_tests, under AddressSanitizer and UBSan, which do not support the simulator's stacks.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { buildAddon } from './addon';
import { type Ending, forEachAtOnce, runProgram } from './at-once';
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
export function ordinarySettings(): string[] {
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

/** What a part of a program's tests printed. */
interface PartEnding extends Ending {
  readonly program: string;
}

/** Runs each program's tests in parts, as many at once as there are cores; `report` sees each part when it has ended. */
export async function runInParts(
  programs: readonly string[],
  {
    env = process.env,
    report = () => {},
  }: { env?: NodeJS.ProcessEnv; report?: (part: PartEnding) => void } = {},
): Promise<PartEnding[]> {
  const parts = 2 * availableParallelism();
  const jobs = programs.flatMap((program) =>
    Array.from({ length: parts }, (_, i) => ({ program, part: `${i + 1}/${parts}` })),
  );
  const endings: PartEnding[] = [];
  await forEachAtOnce(jobs, async ({ program, part }) => {
    const ending = { program, ...(await runProgram(program, ['--part', part], env)) };
    endings.push(ending);
    report(ending);
  });
  return endings;
}

async function main(): Promise<void> {
  const unavailable = nativeProgramsUnavailable();
  if (unavailable) throw new BuildError(unavailable);
  const env = { ...process.env, UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1' };
  const programs = buildNativeTests({ sanitize: process.argv.includes('--sanitize') });
  if (process.argv.includes('--build')) return;
  const failures: string[] = [];
  await runInParts(programs, {
    env,
    report: ({ program, stdout, stderr, failure }) => {
      process.stdout.write(stdout);
      process.stderr.write(stderr);
      if (failure !== null) failures.push(`${program} failed (${failure}).`);
    },
  });
  if (failures.length > 0) throw new BuildError(failures.join('\n'));
}

if (require.main === module) {
  main().catch((error: unknown) => {
    if (!(error instanceof BuildError)) throw error;
    say(error.message);
    process.exitCode = 1;
  });
}

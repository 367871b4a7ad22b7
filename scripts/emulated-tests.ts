/**
 * Runs native tests on other CPUs, emulated by QEMU: older ones of x86-64, where a newer instruction that leaked into
 * an older path would crash, and arm64, cross-compiled here.
 *
 *     tsx scripts/emulated-tests.ts [FILTER …]
 *
 * Default: the tests of the CPU kernels. Architectures whose tools are missing are skipped with a message.
 */
import { spawnSync } from 'node:child_process';
import { BuildError, root, say } from './command';
import { buildNativePrograms, nativeProgramsUnavailable } from './native-programs';
import { buildCpuTests, testSettings } from './native-tests';
import { findProgram } from './toolchain';

/** A CPU model of QEMU, and the instruction sets that must be detected on it. */
interface Processor {
  readonly name: string;
  readonly instructionSets: readonly string[];
}

interface Architecture {
  readonly name: string;
  readonly emulator: string;
  readonly emulatorOptions: readonly string[];
  readonly compiler: string;
  /** Builds rnd1_tests and returns its path. */
  readonly build: () => string;
  readonly processors: readonly Processor[];
}

const architectures: readonly Architecture[] = [
  {
    name: 'x86-64',
    emulator: 'qemu-x86_64',
    emulatorOptions: [],
    compiler: 'g++',
    build: buildCpuTests,
    processors: [
      { name: 'Conroe', instructionSets: ['baseline'] },
      { name: 'Haswell', instructionSets: ['avx2', 'baseline'] },
    ],
  },
  {
    name: 'arm64',
    emulator: 'qemu-aarch64',
    emulatorOptions: ['-L', '/usr/aarch64-linux-gnu'],
    compiler: 'aarch64-linux-gnu-g++',
    build: () =>
      buildNativePrograms({
        folder: 'build-tests-arm64',
        targets: ['rnd1_tests'],
        settings: [...testSettings, 'CMAKE_SYSTEM_NAME=Linux', 'CMAKE_SYSTEM_PROCESSOR=aarch64'],
        options: ['--cxx', 'aarch64-linux-gnu-g++', '--cc', 'aarch64-linux-gnu-gcc'],
      })[0] as string,
    processors: [
      { name: 'cortex-a57', instructionSets: ['baseline'] },
      { name: 'max', instructionSets: ['neonbf16', 'neonf16', 'baseline'] },
    ],
  },
];

/** Emulation is some twenty times slower, so only one test of each kernel against float64, and whole models. */
const essential = [
  'matmul: several weights side by side',
  'matmul: NaN',
  'logits: against float64',
  'experts: all rows pick one expert',
  'mlp: odd sizes',
  'attention: packed canvases',
  'addRmsNorm',
  'normRope: heads',
  'score: a large vocabulary',
  'model: a step is forward',
  'measurePeaks',
];

/** Runs the tests on one CPU model; false if any fails. */
function passes(
  program: string,
  { emulator, emulatorOptions }: Architecture,
  processor: Processor,
  filters: readonly string[],
) {
  const run = (args: readonly string[]) => {
    const command = ['-cpu', processor.name, ...emulatorOptions, program, ...args];
    const outcome = spawnSync(emulator, command, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
    // Warnings about features that the emulation lacks do not matter to the tests.
    const complaints = outcome.stderr
      .split('\n')
      .filter((line) => !/warning: TCG doesn't support/.test(line));
    if (complaints.some(Boolean)) say(complaints.join('\n').trimEnd());
    return outcome;
  };
  const found = run(['--instruction-sets']).stdout.trim();
  const wanted = processor.instructionSets.join(' ');
  if (found !== wanted) {
    say(`${processor.name}: found the instruction sets '${found}', expected '${wanted}'.`);
    return false;
  }
  const { status, signal, stdout } = run(filters);
  process.stdout.write(stdout);
  if (status !== 0) say(`${processor.name}: the tests failed (${signal ?? `exit code ${status}`}).`);
  return status === 0;
}

function main(): void {
  const unavailable = nativeProgramsUnavailable();
  if (unavailable) throw new BuildError(unavailable);
  const given = process.argv.slice(2);
  const filters = given.length > 0 ? given : essential;
  const failed: string[] = [];
  for (const architecture of architectures) {
    const { name, emulator, compiler, processors } = architecture;
    const missing = [emulator, compiler].filter((tool) => !findProgram(tool));
    if (missing.length > 0) {
      say(`SKIPPED: ${name} needs ${missing.join(' and ')}.`);
      continue;
    }
    const program = architecture.build();
    for (const processor of processors) {
      console.log(`${name}, ${processor.name}: ${processor.instructionSets.join(', ')}`);
      if (!passes(program, architecture, processor, filters)) failed.push(processor.name);
    }
  }
  if (failed.length > 0) throw new BuildError(`Failed on ${failed.join(' and ')}.`);
}

try {
  main();
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
}

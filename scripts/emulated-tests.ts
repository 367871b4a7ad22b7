/**
 * Runs native tests on other CPUs, emulated by QEMU: older ones of x86-64, where a newer instruction that leaked into
 * an older path would crash, and arm64, cross-compiled here.
 *
 *     tsx scripts/emulated-tests.ts [FILTER …]
 *
 * Default: the tests of the CPU kernels. Architectures whose tools are missing are skipped with a message.
 */
import { type Ending, forEachAtOnce, runProgram } from './at-once';
import { BuildError, say } from './command';
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
  'quantized matmul: odd sizes',
  'quantized matmul: every height',
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

/** Runs a program of the emulated architecture; complaints of the emulator are printed. */
async function run(
  { emulator, emulatorOptions }: Architecture,
  processor: Processor,
  command: readonly string[],
): Promise<Ending> {
  const args = ['-cpu', processor.name, ...emulatorOptions, ...command];
  const ending = await runProgram(emulator, args);
  // Warnings about features that the emulation lacks do not matter to the tests.
  const complaints = ending.stderr.split('\n').filter((line) => !/warning: TCG doesn't support/.test(line));
  if (complaints.some(Boolean)) say(complaints.join('\n').trimEnd());
  return ending;
}

/** Runs the tests on one CPU model and prints what they say; false if any fails. */
async function passes(
  program: string,
  architecture: Architecture,
  processor: Processor,
  filters: readonly string[],
): Promise<boolean> {
  const found = (await run(architecture, processor, [program, '--instruction-sets'])).stdout.trim();
  const wanted = processor.instructionSets.join(' ');
  if (found !== wanted) {
    say(`${processor.name}: found the instruction sets '${found}', expected '${wanted}'.`);
    return false;
  }
  const { failure, stdout } = await run(architecture, processor, [program, ...filters]);
  process.stdout.write(`${architecture.name}, ${processor.name}: ${wanted.replaceAll(' ', ', ')}\n${stdout}`);
  if (failure !== null) say(`${processor.name}: the tests failed (${failure}).`);
  return failure === null;
}

async function main(): Promise<void> {
  const unavailable = nativeProgramsUnavailable();
  if (unavailable) throw new BuildError(unavailable);
  const given = process.argv.slice(2);
  const filters = given.length > 0 ? given : essential;
  const jobs: (readonly [program: string, Architecture, Processor])[] = [];
  for (const architecture of architectures) {
    const { name, emulator, compiler, processors } = architecture;
    const missing = [emulator, compiler].filter((tool) => !findProgram(tool));
    if (missing.length > 0) {
      say(`SKIPPED: ${name} needs ${missing.join(' and ')}.`);
      continue;
    }
    const program = architecture.build();
    for (const processor of processors) jobs.push([program, architecture, processor]);
  }
  const failed: string[] = [];
  await forEachAtOnce(jobs, async ([program, architecture, processor]) => {
    if (!(await passes(program, architecture, processor, filters))) failed.push(processor.name);
  });
  if (failed.length > 0) throw new BuildError(`Failed on ${failed.join(' and ')}.`);
}

main().catch((error: unknown) => {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
});

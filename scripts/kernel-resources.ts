/**
 * Compiles the CUDA kernels for one target and prints the resources of each: registers, spilled bytes, bytes of stack,
 * and the instructions that a warp executes in a round of its main loop. Fails if a kernel that takes much of the time
 * spills or keeps arrays on a stack, if a main loop exceeds its limit, or if there is a warning.
 *
 *     tsx scripts/kernel-resources.ts [sm_90a] [training]
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError, capture, root, say, show } from './command';
import { type LoopRound, mainLoop, readMachineCode } from './machine-code';
import { findProgram } from './toolchain';

/** Kernels that must neither spill nor use a stack. */
const main =
  /^(attentionMma|matmulMma|matmulWide|expertMma|expertWide|greedyMma|matmul|expert|greedy|score|addRmsNorm|normRope|normRopeNarrow|combine|rows|gradient|keys|queries)Kernel/;

/**
 * Instructions of a warp in a step of 64 values, at most. At 4.3 TB/s, a multiprocessor of an H200 reads the 16 KB of a
 * step of gate and up in some 850 cycles, in which each of its four schedulers issues the step of one warp: instructions
 * should take a small part of them, as the loads of activations and the waits take others.
 */
const limits: readonly { readonly kernel: RegExp; readonly instructions: number }[] = [
  { kernel: /^expertMmaKernel<2,32,/, instructions: 160 },
  { kernel: /^expertMmaKernel<1,32,/, instructions: 120 },
  { kernel: /^(matmulMma|greedyMma)Kernel/, instructions: 160 },
];

interface Kernel {
  readonly name: string;
  readonly registers: number;
  readonly spilled: number;
  /** Bytes of arrays whose indices are unknown at compile time: local memory, like spills. */
  readonly stack: number;
  /** The main loop, if it multiplies matrices. */
  readonly loop: LoopRound | null;
}

/** Parses the output of `ptxas -v`: mangled name, stack, spills and registers of each kernel; and its machine code. */
function parseKernels(output: string, cubin: Buffer): Kernel[] {
  const code = readMachineCode(cubin);
  const pattern =
    /Compiling entry function '(\w+)'[\s\S]*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads[\s\S]*?Used (\d+) registers/g;
  return [...output.matchAll(pattern)].map(([, mangled = '', stack, stores, loads, registers]) => ({
    name: readableName(mangled),
    registers: Number(registers),
    spilled: Number(stores) + Number(loads),
    stack: Number(stack),
    loop: mainLoop(code.get(mangled) ?? []),
  }));
}

/** Demangles an Itanium name to `expertMmaKernel<2,32,bf16>`; handles only names of these kernels. */
function readableName(mangled: string): string {
  const [, length = '', rest = ''] = /(?:^|\D)(\d+)([a-zA-Z]+Kernel.*)$/.exec(mangled) ?? [];
  const name = rest.slice(0, Number(length.slice(-2)));
  const dtypes = ['f32', 'f16', 'bf16'];
  const parameters = [...rest.matchAll(/L(?:i|NS_5DTypeE|N4rnd15DTypeE)(\d+)E/g)].map(([all, value]) =>
    all.startsWith('Li') ? value : dtypes[Number(value)],
  );
  return parameters.length > 0 ? `${name}<${parameters.join(',')}>` : name;
}

function compile(nvcc: string, file: string, target: string, folder: string): Kernel[] {
  const cubin = join(folder, 'kernels.cubin');
  const architecture = target.replace('sm_', 'compute_');
  const { ok, output } = capture(nvcc, [
    '-std=c++20',
    '--expt-relaxed-constexpr',
    '-O3',
    '-Werror=all-warnings',
    '-I',
    join(root, 'native'),
    '-gencode',
    `arch=${architecture},code=${target}`,
    '-Xptxas',
    '-v',
    '-cubin',
    '-o',
    cubin,
    join(root, 'native', 'backend', 'cuda', file),
  ]);
  if (!ok) {
    show(output);
    throw new BuildError(`${file} does not compile for ${target}.`);
  }
  return parseKernels(output, readFileSync(cubin));
}

const scratch = mkdtempSync(join(tmpdir(), 'rnd1-'));
try {
  const target = process.argv[2] ?? 'sm_90a';
  const nvcc = findProgram('nvcc');
  if (!nvcc) throw new BuildError('nvcc is not installed.');
  const folder = process.argv[3] ?? '.';
  const files = readdirSync(join(root, 'native', 'backend', 'cuda', folder))
    .filter((name) => name.endsWith('.cu'))
    .map((name) => join(folder, name));
  const kernels = files.flatMap((file) => compile(nvcc, file, target, scratch));
  console.log(
    `${kernels.length} kernels for ${target}: registers, spilled bytes, bytes of stack; in a round of the main loop ` +
      'instructions, of these copies to shared memory and matrix products',
  );
  for (const { name, registers, spilled, stack, loop } of kernels) {
    const round = loop ? [loop.instructions, loop.copiesToShared, loop.matrixProducts] : ['', '', ''];
    const figures = [registers, spilled, stack, ...round];
    console.log([...figures.map((value) => String(value).padStart(5)), ` ${name}`].join(' '));
  }
  const wrong = kernels.filter(({ name, spilled, stack }) => (spilled > 0 || stack > 0) && main.test(name));
  if (wrong.length > 0)
    throw new BuildError(`These spill or have a stack: ${wrong.map(({ name }) => name).join(', ')}.`);
  const long = kernels.filter(({ name, loop }) =>
    limits.some(
      ({ kernel, instructions }) => kernel.test(name) && (loop?.instructions ?? Infinity) > instructions,
    ),
  );
  if (long.length > 0)
    throw new BuildError(`The main loop is too long: ${long.map(({ name }) => name).join(', ')}.`);
  if (!kernels.some(({ name }) => main.test(name))) throw new BuildError('No kernel was recognised.');
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true });
}

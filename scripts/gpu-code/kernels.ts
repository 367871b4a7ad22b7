import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError, capture, root, show } from '../command';
import { findProgram } from '../toolchain';
import { type LoopRound, mainLoop, readMachineCode } from './machine-code';

/** A kernel as nvcc has compiled it. */
export interface Kernel {
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
export function readableName(mangled: string): string {
  const [, length = '', rest = ''] = /(?:^|\D)(\d+)([a-zA-Z]+Kernel.*)$/.exec(mangled) ?? [];
  const name = rest.slice(0, Number(length.slice(-2)));
  const dtypes = ['f32', 'f16', 'bf16', 'q8', 'q4', 'fp8', 'q5'];
  const parameters = [...rest.matchAll(/L(?:i|NS_5DTypeE|N4rnd15DTypeE|S[0-9A-Z]*_)(\d+)E/g)].map(
    ([all, value]) => (all.startsWith('Li') ? value : dtypes[Number(value)]),
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

/**
 * Compiles the kernels of a folder of native/backend/cuda for a target like sm_90a.
 *
 * @throws BuildError if nvcc is not installed, or a file does not compile without warnings
 */
export function compileKernels(target: string, folder = '.'): Kernel[] {
  const nvcc = findProgram('nvcc');
  if (!nvcc) throw new BuildError('nvcc is not installed.');
  const scratch = mkdtempSync(join(tmpdir(), 'rnd1-'));
  try {
    return readdirSync(join(root, 'native', 'backend', 'cuda', folder))
      .filter((name) => name.endsWith('.cu'))
      .flatMap((name) => compile(nvcc, join(folder, name), target, scratch));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

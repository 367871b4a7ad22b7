/**
 * Compiles the CUDA kernels for one target and prints the resources of each: registers, spilled bytes, bytes of stack.
 * Fails if a kernel that takes much of the time spills or keeps arrays on a stack, or if there is a warning.
 *
 *     tsx scripts/kernel-resources.ts [sm_90a] [training]
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, capture, root, say, show } from './command';
import { findProgram } from './toolchain';

/** Kernels that must neither spill nor use a stack. */
const main =
  /^(attentionMma|productMma|productWide|expertMma|expertWide|plainMma|product|expert|plain|score|addRmsNorm|normRope|combine|rows|gradient|keys|queries)Kernel/;

interface Kernel {
  readonly name: string;
  readonly registers: number;
  readonly spilled: number;
  /** Bytes of arrays whose indices are unknown at compile time: local memory, like spills. */
  readonly stack: number;
}

/** Parses the output of `ptxas -v`: mangled name, stack, spills and registers of each kernel. */
function parseKernels(output: string): Kernel[] {
  const pattern =
    /Compiling entry function '(\w+)'[\s\S]*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads[\s\S]*?Used (\d+) registers/g;
  return [...output.matchAll(pattern)].map(([, mangled = '', stack, stores, loads, registers]) => ({
    name: readableName(mangled),
    registers: Number(registers),
    spilled: Number(stores) + Number(loads),
    stack: Number(stack),
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

function compile(nvcc: string, file: string, target: string): Kernel[] {
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
    '/dev/null',
    join(root, 'native', 'backend', 'cuda', file),
  ]);
  if (!ok) {
    show(output);
    throw new BuildError(`${file} does not compile for ${target}.`);
  }
  return parseKernels(output);
}

try {
  const target = process.argv[2] ?? 'sm_90a';
  const nvcc = findProgram('nvcc');
  if (!nvcc) throw new BuildError('nvcc is not installed.');
  const folder = process.argv[3] ?? '.';
  const files = readdirSync(join(root, 'native', 'backend', 'cuda', folder))
    .filter((name) => name.endsWith('.cu'))
    .map((name) => join(folder, name));
  const kernels = files.flatMap((file) => compile(nvcc, file, target));
  console.log(`${kernels.length} kernels for ${target}: registers, spilled bytes, bytes of stack`);
  for (const { name, registers, spilled, stack } of kernels)
    console.log(
      [...[registers, spilled, stack].map((value) => String(value).padStart(5)), ` ${name}`].join(' '),
    );
  const wrong = kernels.filter(({ name, spilled, stack }) => (spilled > 0 || stack > 0) && main.test(name));
  if (wrong.length > 0)
    throw new BuildError(`These spill or have a stack: ${wrong.map(({ name }) => name).join(', ')}.`);
  if (!kernels.some(({ name }) => main.test(name))) throw new BuildError('No kernel was recognised.');
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
}

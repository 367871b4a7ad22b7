/**
 * Compiles the CUDA kernels for one target and prints the resources of each: registers, spilled bytes, bytes of stack,
 * and the instructions that a warp executes in a round of its main loop. Fails if a kernel that takes much of the time
 * spills or keeps arrays on a stack, if a main loop exceeds its limit, or if there is a warning.
 *
 *     tsx scripts/kernel-resources.ts [sm_90a] [training]
 */
import { BuildError, say } from './command';
import { compileKernels } from './gpu-code/kernels';

/** Kernels that must neither spill nor use a stack. */
const main =
  /^(attentionMma|matmulMma|matmulWide|expertMma|expertWide|greedyMma|matmulCluster|greedyCluster|router|matmul|expert|greedy|score|addRmsNorm|normRope|normRopeNarrow|combine|rows|gradient|keys|queries)Kernel/;

/**
 * Instructions of a warp in a step of 64 values, at most. At 4.3 TB/s, a multiprocessor of an H200 reads the 16 KB of a
 * step of gate and up in some 850 cycles, in which each of its four schedulers issues the step of one warp: instructions
 * should take a small part of them, as the loads of activations and the waits take others.
 */
const limits: readonly { readonly kernel: RegExp; readonly instructions: number }[] = [
  // Quantized weights become 16-bit values in registers.
  { kernel: /^expertMmaKernel<(2,1|1,2),32,.*,(q8|q5)>/, instructions: 300 },
  { kernel: /^expertMmaKernel<(2,1|1,2),32,.*,(q4|fp8)>/, instructions: 240 },
  { kernel: /^expertMmaKernel<1,1,32,.*,(q[458]|fp8)>/, instructions: 200 },
  { kernel: /^(matmulMma|greedyMma|matmulCluster|greedyCluster)Kernel<.*,(q[458]|fp8)>/, instructions: 260 },
  // Gate and up, or two tiles of down; one tile of down.
  { kernel: /^expertMmaKernel<(2,1|1,2),32,/, instructions: 160 },
  { kernel: /^expertMmaKernel<1,1,32,/, instructions: 120 },
  { kernel: /^(matmulMma|greedyMma|matmulCluster|greedyCluster)Kernel/, instructions: 160 },
];

try {
  const target = process.argv[2] ?? 'sm_90a';
  const kernels = compileKernels(target, process.argv[3]);
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
  const long = kernels.filter(({ name, loop }) => {
    const limit = limits.find(({ kernel }) => kernel.test(name));
    return limit !== undefined && (loop?.instructions ?? Infinity) > limit.instructions;
  });
  if (long.length > 0)
    throw new BuildError(`The main loop is too long: ${long.map(({ name }) => name).join(', ')}.`);
  if (!kernels.some(({ name }) => main.test(name))) throw new BuildError('No kernel was recognised.');
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
}

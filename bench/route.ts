/**
 * Router matmul, top-k experts of every row, rows grouped by expert.
 *
 *     npx tsx bench/route.ts [--device cuda:0] [--dtype bf16] [--threads N] [--runs 5] [--json FILE]
 *         [--rows 64,256] [--hidden 2048] [--experts 128] [--experts-per-token 8]
 */
import { kernelBench } from './support/kernel-bench';

kernelBench({
  op: 'route',
  rows: { cpu: '64,256', cuda: '256,4096' },
  sizes: ['hidden', 'experts', 'experts-per-token'],
});

/**
 * The projections of a layer: queries, keys and values in one call, and the output projection.
 *
 *     npx tsx bench/matmul.ts [--device cuda:0] [--dtype bf16|q8|q5|q4] [--threads N] [--runs 5] [--json FILE]
 *         [--rows 64,256] [--hidden 2048] [--heads 32] [--key-value-heads 4] [--head-dim 128]
 */
import { kernelBench } from './support/kernel-bench';

kernelBench({
  op: 'matmul',
  rows: { cpu: '64,256', cuda: '64,256,4096' },
  sizes: ['hidden', 'heads', 'key-value-heads', 'head-dim'],
  peer: 'matmul.py',
});

/**
 * The row-wise ops: residual addition with RMSNorm, and RMSNorm of heads with RoPE.
 *
 *     npx tsx bench/norms.ts [--device cuda:0] [--dtype bf16] [--threads N] [--runs 5] [--json FILE]
 *         [--rows 64,256] [--hidden 2048] [--heads 32] [--key-value-heads 4] [--head-dim 128]
 */
import { kernelBench } from './support/kernel-bench';

kernelBench({
  op: 'norms',
  rows: { cpu: '64,256', cuda: '256,4096' },
  sizes: ['hidden', 'heads', 'key-value-heads', 'head-dim'],
});

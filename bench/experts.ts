/**
 * The mixture of experts, with `--routing` even, random (as random weights route) or skewed (as a canvas of masks is
 * routed).
 *
 *     npx tsx bench/experts.ts [--device cuda:0] [--dtype bf16|q8|q5|q4] [--threads N] [--runs 5] [--json FILE]
 *         [--rows 64,256] [--routing even] [--hidden 2048] [--experts 128] [--experts-per-token 8] [--expert-width 768]
 */
import { kernelBench } from './support/kernel-bench';

kernelBench({
  op: 'experts',
  rows: { cpu: '64,256', cuda: '64,256,8192' },
  sizes: ['routing', 'hidden', 'experts', 'experts-per-token', 'expert-width'],
  peer: 'experts.py',
});

/**
 * Bidirectional attention over canvases of `--rows` positions each.
 *
 *     npx tsx bench/attention.ts [--device cuda:0] [--dtype bf16] [--threads N] [--runs 5] [--json FILE]
 *         [--rows 256,1024] [--canvases 1] [--heads 32] [--key-value-heads 4] [--head-dim 128]
 */
import { kernelBench } from './support/kernel-bench';

kernelBench({
  op: 'attention',
  rows: { cpu: '256,1024', cuda: '256,4096,16384' },
  sizes: ['canvases', 'heads', 'key-value-heads', 'head-dim'],
  peer: 'attention.py',
});

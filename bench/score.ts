/**
 * The end of a step: LM head, scores and unmasking, for `--rows` masked positions.
 *
 *     npx tsx bench/score.ts [--device cuda:0] [--dtype bf16] [--threads N] [--runs 5] [--json FILE]
 *         [--rows 64] [--hidden 2048] [--vocabulary 151936]
 */
import { kernelBench } from './support/kernel-bench';

kernelBench({
  op: 'score',
  rows: { cpu: '64', cuda: '32,256' },
  sizes: ['hidden', 'vocabulary'],
  peer: 'score.py',
});

import { evenCount, linearCount, roundedCounts } from '../../../lib/denoising/counts';
import { readGolden } from '../../support/goldens';

interface Case {
  readonly steps: number;
  readonly transfer: readonly number[];
}

const golden = readGolden<{
  llada: (Case & { masked: number })[];
  llada2: (Case & { block_length: number })[];
  dllm_mdlm: (Case & { masked: number })[];
  dream: (Case & { masked: number; eps: number; timesteps_f32: number[] })[];
}>('families/pure/schedule.json');

test.each(golden.llada)('LLaDA: $masked positions in $steps steps', ({ masked, steps, transfer }) => {
  expect(transfer.map((_, i) => evenCount(masked, steps, i + 1))).toEqual(transfer);
});

test.each(golden.llada2)(
  'LLaDA2: blocks of $block_length, $steps steps',
  ({ block_length, steps, transfer }) => {
    expect(transfer.map((_, i) => evenCount(block_length, steps, i + 1))).toEqual(transfer);
  },
);

test.each(golden.dllm_mdlm)('dLLM: $masked positions in $steps steps', ({ masked, steps, transfer }) => {
  expect(roundedCounts(masked, steps)).toEqual(transfer.filter((count) => count > 0));
});

test.each(golden.dream)('Dream: $masked positions in $steps steps to $eps', (one) => {
  const times = { rounds: one.steps, eps: one.eps };
  let left = one.masked;
  const counts = one.transfer.map((_, pass) => {
    const count = linearCount(left, pass + 1, times);
    left -= count;
    return count;
  });
  expect(counts).toEqual(one.transfer);
});

/**
 * Fills a canvas of 256 in 256 steps, twice, compares the tokens, and measures the time of a step of a whole model.
 *
 *     whole-model [--model FOLDER] [--device cuda] [--dtype bf16]
 *
 * --model: a checkpoint (default: RND1_MODEL, else the embedded nano model). One line of JSON goes to stdout, the same
 * as text to stderr.
 */
import { parseArgs } from 'node:util';
import { type Device, DiffusionLM, type DType } from '../../lib';

const positions = 256;

interface Filled {
  readonly tokens: Int32Array;
  /** Time of each step, in milliseconds. */
  readonly times: readonly number[];
}

async function fillCanvas(model: DiffusionLM): Promise<Filled> {
  const times: number[] = [];
  let tokens: Int32Array = new Int32Array();
  let last = performance.now();
  // One token that every vocabulary has, then only masks: 256 positions is the embedded model's maximum.
  const options = { prefix: [100], length: positions - 1, eosTokenId: null, steps: positions, seed: 1 };
  for await (const frame of model.denoiseTokens(options)) {
    const now = performance.now();
    times.push(now - last);
    last = now;
    tokens = frame.tokens;
  }
  return { tokens, times };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const rounded = (value: number) => Number(value.toPrecision(4));

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', default: process.env.RND1_MODEL },
      device: { type: 'string', default: 'cuda' },
      dtype: { type: 'string', default: 'bf16' },
    },
  });
  const start = performance.now();
  const model = await DiffusionLM.load(values.model || undefined, {
    device: values.device as Device,
    dtype: values.dtype as DType,
  });
  const loading = performance.now() - start;
  try {
    const first = await fillCanvas(model);
    const second = await fillCanvas(model);
    const times = [...first.times, ...second.times].sort((left, right) => left - right);
    const result = {
      model: values.model || 'nano',
      device: model.info.device,
      dtype: values.dtype,
      steps: first.times.length,
      loadSeconds: rounded(loading / 1000),
      stepMilliseconds: rounded(times[times.length >> 1] as number),
      tokensPerSecond: rounded((2000 * (positions - 1)) / sum(times)),
      same: first.tokens.length === positions && first.tokens.every((token, i) => token === second.tokens[i]),
    };
    process.stdout.write(`${JSON.stringify(result)}\n`);
    process.stderr.write(
      `${result.model} on ${result.device}, ${result.dtype}: loaded in ${result.loadSeconds} s, a canvas of ${positions} in \
${result.steps} steps, ${result.stepMilliseconds} ms a step (median), ${result.tokensPerSecond} tokens/s, \
${result.same ? 'the same tokens both times' : 'OTHER TOKENS THE SECOND TIME'}\n`,
    );
    if (!result.same) process.exitCode = 1;
  } finally {
    await model.dispose();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exitCode = 1;
});

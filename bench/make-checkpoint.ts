/**
 * Writes a random checkpoint of RND1's width, for benches: speed depends on shapes, not on the weights' values. The
 * defaults are bf16, 4 layers and a small vocabulary, 5.3 GB; `--layers 48 --vocabulary 151936` is the whole model,
 * 61 GB, or 18 GB with `--dtype q4`.
 *
 *     npx tsx bench/make-checkpoint.ts FOLDER [--dtype q4] [--layers 4] [--vocabulary 32768] [--hidden 2048] [--heads 32]
 *         [--key-value-heads 4] [--head-dim 128] [--experts 128] [--experts-per-token 8] [--expert-width 768]
 *         [--shard-bytes 5000000000] [--seed 1]
 */
import { parseArgs } from 'node:util';
import { formatBytes } from '../lib/bench/units';
import { integerTypes } from '../lib/checkpoint/quantization';
import { writeCheckpoint } from './support/checkpoint';
import { runMain } from './support/main';

const defaults = {
  layers: 4,
  vocabulary: 32_768,
  hidden: 2048,
  heads: 32,
  'key-value-heads': 4,
  'head-dim': 128,
  experts: 128,
  'experts-per-token': 8,
  'expert-width': 768,
  'shard-bytes': 5_000_000_000,
  seed: 1,
};
type Name = keyof typeof defaults;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: Object.fromEntries(
      [...Object.keys(defaults), 'dtype'].map((name) => [name, { type: 'string' as const }]),
    ),
  });
  const [folder, ...others] = positionals;
  if (folder === undefined || others.length > 0)
    throw new RangeError('Give one argument, the folder to write to.');
  const number = (name: Name) => {
    const text = values[name] as string | undefined;
    const value = Number(text ?? defaults[name]);
    if (Number.isSafeInteger(value) && value > 0) return value;
    throw new RangeError(`--${name} must be a positive integer, not '${text}'`);
  };

  const { dtype = 'bf16' } = values as { dtype?: string };
  const types = ['bf16', ...integerTypes] as const;
  const weights = types.find((type) => type === dtype);
  if (weights === undefined)
    throw new RangeError(`--dtype must be one of ${types.join(', ')}, not '${dtype}'`);

  // An interrupted run deletes what it has written.
  const interrupted = new AbortController();
  const abort = () => interrupted.abort(new RangeError('Interrupted: nothing was kept.'));
  process.once('SIGINT', abort).once('SIGTERM', abort);

  const started = performance.now();
  let shown = started;
  const bytes = await writeCheckpoint(folder, {
    sizes: {
      layers: number('layers'),
      hidden: number('hidden'),
      heads: number('heads'),
      keyValueHeads: number('key-value-heads'),
      headDim: number('head-dim'),
      experts: number('experts'),
      expertsPerToken: number('experts-per-token'),
      expertWidth: number('expert-width'),
      vocabulary: number('vocabulary'),
      maxPositions: 40_960,
      rmsNormEpsilon: 1e-6,
      ropeTheta: 1e6,
      normTopkProb: true,
      tieWordEmbeddings: false,
    },
    seed: number('seed'),
    quantization: weights === 'bf16' ? undefined : { dtype: weights, group: 64 },
    shardBytes: number('shard-bytes'),
    signal: interrupted.signal,
    onProgress: (done, total) => {
      if (!process.stderr.isTTY || performance.now() - shown < 500) return;
      shown = performance.now();
      process.stderr.write(`\r${formatBytes(done)} of ${formatBytes(total)} `);
    },
  });
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const seconds = (performance.now() - started) / 1000;
  console.log(`${folder}: ${formatBytes(bytes)} of weights, written in ${seconds.toFixed(1)} s`);
}

runMain(main);

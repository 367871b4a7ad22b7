import type { Command } from 'commander';
import { LlamaBench } from '../bench/llama-bench';
import { measurePeaks, measureSteps, measureWriting, type Peer } from '../bench/measure';
import { isGgufPath } from '../checkpoint/checkpoint-files';
import type { DiffusionLM } from '../index';
import { printableJson } from '../support/printable';
import { type BenchReport, formatBench, machineOf } from './bench-report';
import { integer, number, parser, UsageError } from './input';
import { Interruption } from './interrupt';
import { loadModel } from './loading';
import { addModelOptions, type ModelFlags, requires } from './options';
import { Waiting } from './progress';

interface BenchFlags extends ModelFlags {
  readonly lengths?: readonly number[];
  readonly runs?: number;
  readonly write?: number;
  readonly seconds?: number;
  readonly peer?: string;
  readonly peerModel?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

/** Tokens of the prompt before which nothing is written. */
const promptTokens = 8;

const manual = `
Measures:
  Steps over canvases of random tokens: a forward pass, the scores of all
  positions (or, in the second row of a length, of the masked ones), and the
  choice of positions. tokens/s counts the positions of the canvas.
  Writing: tokens that the model's default schedule writes after ${promptTokens} random ones,
  for at most --seconds.
  Limits: what a large copy and multiply-adds in registers reach on this machine
  in the same run, on as many threads. "of copy" and "of peak" are the shares
  of them that the step's bytes and multiply-adds reach.
  Times are medians. They change by 10 to 20 % where other programs run.

Peer:
  --peer llama-bench runs that program of llama.cpp in turn with the steps, on
  the GGUF file --peer-model (or --model, if it is one) and as many threads. It
  computes the logits of the last position only. The ratio is its time over
  ours: above 1 rnd1 is faster.

Printed output:
  Markdown, to be pasted into an issue; --json prints one JSON object with the
  same figures.

Exit codes:
  0 done, 1 failure, 2 wrong usage, 130 interrupted (143 by SIGTERM, 129 by
  SIGHUP).

Examples:
  $ rnd1 bench
  $ rnd1 bench --lengths 64 --runs 3 --dtype q8
  $ rnd1 bench --model models/nano --write 0 --json`;

const lengths = parser((text) => {
  const all = text.split(',').map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (!all.every((length) => Number.isSafeInteger(length) && length > 0)) {
    throw new RangeError('Expected lengths of at least 1, as in 64,256.');
  }
  return all;
});

/** `rnd1 bench` */
export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .summary('measure tokens per second, and how close they are to the limits of the machine')
    .description(
      'Measures tokens per second of a model on this machine, and how close they are to the limits of its memory and of its multiply-add units.',
    )
    .optionsGroup('Measure:')
    .option('--lengths <counts>', 'tokens of the canvases (default: 64,256)', lengths)
    .option('--runs <count>', 'steps of each kind (default: 5)', integer(1))
    .option('--write <count>', 'tokens to write; 0: none (default: 64)', integer(0))
    .option('--seconds <number>', 'time limit for writing (default: 20)', number(0.001))
    .option('--peer <program>', "llama.cpp's llama-bench, to compare with")
    .option(
      '--peer-model <file>',
      'GGUF file of the same model for the peer (default: --model, if it is one)',
    );
  addModelOptions(command)
    .optionsGroup('Output:')
    .option('--json', 'one JSON object')
    .option('-q, --quiet', 'no progress on standard error')
    .option('--verbose', 'print to standard error where the weights come from and which device runs them')
    .addHelpText('after', manual)
    .action(bench);
}

async function bench(flags: BenchFlags): Promise<void> {
  requires(flags.peer === undefined ? flags : {}, '--peer', ['peerModel']);
  const peerFile =
    flags.peerModel ?? (flags.model !== undefined && isGgufPath(flags.model) ? flags.model : null);
  if (flags.peer !== undefined && peerFile === null) {
    throw new UsageError('--peer needs --peer-model, or a GGUF file as --model');
  }
  using interruption = new Interruption();
  const { signal } = interruption;
  const model = await loadModel(flags, signal);
  const waiting = flags.quiet ? null : new Waiting(process.stderr);
  try {
    const { device, threads } = model.info;
    const peer =
      flags.peer === undefined || peerFile === null
        ? undefined
        : new LlamaBench(flags.peer, peerFile, { threads, device });
    const report = await measure(model, flags, peer, signal, (what) => waiting?.begin(what));
    waiting?.close();
    process.stdout.write(
      flags.json ? `${printableJson(JSON.stringify(report, null, 2))}\n` : `${formatBench(report)}\n`,
    );
  } finally {
    waiting?.close();
    await model.dispose();
  }
}

async function measure(
  model: DiffusionLM,
  flags: BenchFlags,
  peer: Peer | undefined,
  signal: AbortSignal,
  show: (what: string) => void,
): Promise<BenchReport> {
  const { lengths = [64, 256], runs = 5, write = 64, seconds = 20 } = flags;
  checkSizes(model, lengths, write);
  show('measuring the limits');
  const peaks = await measurePeaks(model);
  signal.throwIfAborted();
  const steps = await measureSteps(model, { lengths, runs, peer, signal, onRun: show });
  const writing =
    write === 0
      ? null
      : await measureWriting(model, {
          ...{ prompt: promptTokens, tokens: write, seconds, signal },
          onStep: (forwards) => show(`writing ${write} tokens: step ${forwards}`),
        });
  return { ...machineOf(model, flags.model), peaks, steps, writing, peer: peer?.name ?? null };
}

function checkSizes(model: DiffusionLM, lengths: readonly number[], write: number): void {
  const { maxPositions } = model.config.architecture;
  const longest = Math.max(...lengths);
  if (longest > maxPositions)
    throw new UsageError(`--lengths: the model's longest canvas has ${maxPositions} tokens, not ${longest}`);
  if (write > 0 && write + promptTokens > maxPositions)
    throw new UsageError(
      `--write: the model's longest canvas has ${maxPositions} tokens, and ${promptTokens} are the prompt`,
    );
}

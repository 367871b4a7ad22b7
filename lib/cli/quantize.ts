import { type Command, Option } from 'commander';
import { quantizedTypes } from '../checkpoint/quantization';
import { type LoadProgress, type QuantizeOptions, type QuantizeReport, quantizeCheckpoint } from '../index';
import { defaultThreads } from '../runtime/threads';
import { formatBytes } from '../support/format-bytes';
import { printableName } from '../support/printable';
import { UsageError } from './input';
import { Interruption } from './interrupt';
import { cappedThreads, say, seconds, warnOf } from './loading';
import { threadCountOption } from './options';
import { ProgressLine, Waiting } from './progress';
import { bar } from './render';

interface QuantizeFlags {
  readonly dtype?: QuantizeOptions['dtype'];
  readonly group?: string;
  readonly threads?: number;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

const typeList = `${quantizedTypes.slice(0, -1).join(', ')} or ${quantizedTypes.at(-1)}`;

const manual = `
The weights of projections, experts and the LM head become integers with a scale
for each group of columns: q8 takes 8.25 bits per weight, q5 5.5 and q4 4.5
(half a bit more with --group 32). q5m and q4m have attention and the head in q8
and the rest in q5 or q4: of models with experts a few percent more bytes, as
much time, and a third of the error. Router, norms and embeddings stay
unquantized. docs/quantization.md describes the layout, and the accuracy
compared with the original.

With fp8, they become floating-point numbers of 8 bits with a scale for each
128 × 128 of them, except for the head, in the format of FP8 checkpoints. GPUs
use them as they are; a CPU decodes them to 16 bits.

GGUF files may be quantized already: in groups of 32 columns, q8 of Q8_0 and q4
of Q4_0 are the same numbers. docs/gguf.md has the losses of other types.

The checkpoint is read piece by piece, whatever its size. After an interruption,
even a power cut, rerun the same command to resume. The output cannot be loaded
until the conversion is complete.

Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted (143 by SIGTERM,
129 by SIGHUP).

Examples:
  $ rnd1 quantize models/nano nano-q4m --dtype q4m
  $ rnd1 generate --model nano-q4m 'What is 47+38?'`;

/** `rnd1 quantize` */
export function addQuantize(program: Command): void {
  program
    .command('quantize')
    .summary('write a smaller copy of a checkpoint, in 8, 5 or 4 bits')
    .description('Writes a quantized copy of a checkpoint.')
    .argument('<in>', 'folder of the checkpoint, or a GGUF file')
    .argument('<out>', 'a new or empty folder, or that of an interrupted run')
    .addOption(new Option('--dtype <type>', `${typeList} (required)`).choices([...quantizedTypes]))
    .addOption(
      new Option(
        '--group <columns>',
        'columns that share a scale, but for fp8 (default: 64; of quantized GGUF files: 32)',
      ).choices(['64', '32']),
    )
    .option(...threadCountOption)
    .option('-q, --quiet', 'print nothing but errors')
    .option('--verbose', 'print to standard error what was read and written, and how long it took')
    .addHelpText('after', manual)
    .action(quantize);
}

async function quantize(input: string, output: string, flags: QuantizeFlags): Promise<void> {
  const { dtype, quiet, verbose } = flags;
  // Not by Commander, which would ask for it before the folders.
  if (dtype === undefined) throw new UsageError(`--dtype is needed: ${typeList}`);
  const group = flags.group === undefined ? undefined : flags.group === '32' ? 32 : 64;
  using interruption = new Interruption();
  const progress = quiet ? null : new QuantizingBar();
  const threads = cappedThreads(flags.threads);
  const start = performance.now();
  progress?.begin(`reading ${printableName(input)}`);
  const report = await quantizeCheckpoint(input, output, {
    dtype,
    group,
    threads,
    signal: interruption.signal,
    onProgress: progress?.update,
  }).finally(() => progress?.close());
  const { bytes, sourceBytes, files, resumed, warnings } = report;
  if (!quiet) warnOf(warnings);
  if (verbose) {
    say(`read: ${input}, ${formatBytes(sourceBytes)} of weights`);
    say(`written: ${output}, ${formatBytes(bytes)} in ${groupsOf(report)}`);
    say(`quantizing: ${seconds(start)}, ${threads ?? defaultThreads()} threads`);
  }
  if (quiet) return;
  const again = resumed > 0 ? `, ${resumed} of them from an earlier run` : '';
  process.stdout.write(
    `${printableName(output)}: ${dtype}, ${formatBytes(bytes)} of ${formatBytes(sourceBytes)}, ${files} ${files === 1 ? 'file' : 'files'}${again}\n`,
  );
}

/** What shares a scale. */
const groupsOf = ({ dtype, group }: QuantizeReport) =>
  dtype === 'fp8' ? `blocks of ${group} × ${group}` : `groups of ${group} columns`;

/** Progress bar with the remaining time. */
class QuantizingBar {
  readonly #line = new ProgressLine(process.stderr);
  readonly #waiting = new Waiting(process.stderr);
  #start: { readonly time: number; readonly bytes: number } | null = null;

  /** Callback for `onProgress`. */
  readonly update = ({ bytes, totalBytes, tensors, totalTensors }: LoadProgress): void => {
    this.#waiting.close();
    const time = performance.now();
    // Files of an earlier run are reported at once, so the rate must not count them.
    this.#start ??= { time, bytes };
    const rate = (bytes - this.#start.bytes) / (time - this.#start.time);
    const left = rate > 0 ? `, ${formatDuration((totalBytes - bytes) / rate / 1000)} left` : '';
    this.#line.show(
      () =>
        `quantizing ${bar(bytes / totalBytes, 24)} ${formatBytes(bytes)} of ${formatBytes(totalBytes)}, ${tensors}/${totalTensors} tensors${left}`,
    );
  };

  /** Shows `text` until there is progress to show. */
  begin(text: string): void {
    this.#waiting.begin(text);
  }

  close(): void {
    this.#waiting.close();
    this.#line.close();
  }
}

/** `3 min 20 s` */
function formatDuration(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

import type { SamplingOptions } from '../api/types';
import { presetOf } from '../denoising/run';
import { startingSchedule } from '../denoising/schedule-table';
import { type DiffusionLM, toJSON } from '../index';
import { printableJson, printableText } from '../support/printable';
import { Interrupted, Interruption } from './interrupt';
import { loadModel, say } from './loading';
import type { ModelFlags, OutputFlags, SamplingFlags } from './options';
import { type Frame, interruptedObject, type Result, summary } from './output';
import { styleFor } from './style';
import { viewOf } from './view';

/** Options of every denoising call. */
export interface StartOptions {
  readonly signal: AbortSignal;
  /** Always true: the canvas is shown before the first step, which may take long. */
  readonly initialFrame: true;
}

/** The work of a command on the loaded model. */
export interface Task {
  /** Whether it works on text, which needs a tokenizer. */
  readonly text: boolean;
  /** Whether the result depends on the seed. */
  readonly draws: boolean;
  start(model: DiffusionLM, options: StartOptions): AsyncGenerator<Frame, Result, void>;
  /** Text to print at the end. */
  final(result: Result): string;
  /** Text to print after Ctrl-C. `positions` are those that were masked at the start. */
  partial(frame: Frame, positions: readonly number[], model: DiffusionLM): string;
}

/** Loads the model, denoises, prints. After Ctrl-C it prints the partial result and rejects with `Interrupted`. */
export async function run(task: Task, flags: ModelFlags & OutputFlags & SamplingFlags): Promise<void> {
  using interruption = new Interruption();
  const { signal } = interruption;
  const model = await loadModel(flags, signal);
  try {
    await denoise(task, model, flags, signal);
  } finally {
    await model.dispose();
  }
}

async function denoise(
  task: Task,
  model: DiffusionLM,
  flags: OutputFlags & SamplingFlags,
  signal: AbortSignal,
): Promise<void> {
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const frames = task.start(model, { signal, initialFrame: true, ...startingOptions(flags, model) });
  const view = viewOf(model, flags, task);
  let last: Frame | null = null;
  try {
    for (;;) {
      const next = await frames.next();
      if (next.done) {
        view.close();
        const { value } = next;
        if (flags.json) printJson({ type: 'result', ...toJSON(value), seconds: seconds() });
        else print(task.final(value));
        const line = summary(value, seconds(), task.draws);
        if (flags.verbose) say(line);
        else tell(flags, line);
        return;
      }
      last = next.value;
      if (flags.json && last.step > 0) printJson({ type: 'step', ...toJSON(last) });
      view.show(last, seconds());
    }
  } catch (error) {
    view.close();
    if (error instanceof Interrupted) {
      if (flags.json) printJson(interruptedObject(last, view.positions, seconds()));
      else if (last !== null) print(task.partial(last, view.positions, model));
      tell(flags, last === null ? 'interrupted' : `interrupted after step ${last.step} of ${last.steps}`);
    }
    throw error;
  } finally {
    view.close();
  }
}

/**
 * The schedule without `--schedule` and `--steps`: the one of the model's family; for RND1 one that takes as many steps
 * as the text needs, because the library's default, the reference's, spreads a fixed number of steps evenly.
 */
function startingOptions(
  { schedule, steps }: SamplingFlags,
  { config }: DiffusionLM,
): Pick<SamplingOptions, 'schedule'> {
  const own = schedule !== undefined || steps !== undefined || presetOf(config).schedule !== undefined;
  return own ? {} : { schedule: startingSchedule };
}

/** Writes a line to standard output; for a terminal, control characters are escaped. */
export function print(text: string): void {
  const safe = process.stdout.isTTY ? printableText(text) : text;
  process.stdout.write(safe.endsWith('\n') ? safe : `${safe}\n`);
}

/** Writes a value as a line of JSON. */
function printJson(value: object): void {
  process.stdout.write(`${printableJson(JSON.stringify(value))}\n`);
}

/** Writes a line to standard error if it is a terminal. */
export function tell(flags: Pick<OutputFlags, 'quiet'>, text: string): void {
  if (!flags.quiet && process.stderr.isTTY) process.stderr.write(`${styleFor(process.stderr).dim(text)}\n`);
}

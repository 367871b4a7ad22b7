import { type DiffusionLM, toJSON } from '../index';
import { printableJson, printableText } from '../support/printable';
import { Interrupted, Interruption } from './interrupt';
import { loadModel, say } from './loading';
import type { ModelFlags, OutputFlags } from './options';
import { type Frame, interruptedObject, type Result, summary } from './output';
import { ProgressLine } from './progress';
import { LiveCanvas, type Status, statusLine } from './render';
import { canMoveCursor, styleFor } from './style';

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
export async function run(task: Task, flags: ModelFlags & OutputFlags): Promise<void> {
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
  flags: OutputFlags,
  signal: AbortSignal,
): Promise<void> {
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const frames = task.start(model, { signal, initialFrame: true });
  const view = viewOf(task, model, flags);
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

/** Shows frames as they arrive. */
interface View {
  /** Positions that were masked at the start; empty before the first frame. */
  readonly positions: readonly number[];
  show(frame: Frame, seconds: number): void;
  close(): void;
}

function viewOf(task: Task, model: DiffusionLM, flags: OutputFlags): View {
  const { tokenizer } = model;
  const decode =
    task.text && tokenizer !== null
      ? (tokens: readonly number[], continues: boolean) =>
          tokenizer.decode(tokens, { skipSpecialTokens: true, continues })
      : null;
  const live = flags.live && !flags.json && canMoveCursor(process.stdout);
  const line = live || flags.quiet ? null : new ProgressLine(process.stderr);
  let positions: number[] = [];
  let canvas: LiveCanvas | null = null;
  return {
    get positions() {
      return positions;
    },
    show(frame, seconds) {
      if (positions.length === 0) {
        const holes = Uint8Array.from(frame.masked);
        for (const position of frame.committed) holes[position] = 1;
        positions = [...holes.keys()].filter((position) => holes[position] === 1);
        canvas = live ? new LiveCanvas(process.stdout, { decode, holes }) : null;
      }
      if (flags.json && frame.step > 0) printJson({ type: 'step', ...toJSON(frame) });
      const status = statusOf(frame, positions, seconds);
      canvas?.draw(frame, status);
      line?.show((columns) => statusLine(status, columns));
    },
    close() {
      canvas?.close();
      line?.close();
    },
  };
}

function statusOf({ step, steps, masked }: Frame, positions: readonly number[], seconds: number): Status {
  const total = positions.length;
  const left = positions.filter((position) => masked[position] === 1).length;
  return { step, steps, filled: total - left, total, seconds };
}

/** Writes a line to standard output; for a terminal, control characters are escaped. */
function print(text: string): void {
  const safe = process.stdout.isTTY ? printableText(text) : text;
  process.stdout.write(safe.endsWith('\n') ? safe : `${safe}\n`);
}

/** Writes a value as a line of JSON. */
function printJson(value: object): void {
  process.stdout.write(`${printableJson(JSON.stringify(value))}\n`);
}

/** Writes a line to standard error if it is a terminal. */
function tell(flags: OutputFlags, text: string): void {
  if (!flags.quiet && process.stderr.isTTY) process.stderr.write(`${styleFor(process.stderr).dim(text)}\n`);
}

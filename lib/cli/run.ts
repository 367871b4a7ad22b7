import { RND1, toJSON } from '../index';
import { Interrupted, Interruption } from './interrupt';
import { hubOf, type ModelFlags, type OutputFlags } from './options';
import { type Frame, interruptedObject, type Result, summary } from './output';
import { LoadingBar, ProgressLine } from './progress';
import { LiveCanvas, type Status, statusLine } from './render';
import { canMoveCursor, styleFor } from './style';
import { withoutControls } from './width';

/** What a command does with the model, once that is loaded. */
export interface Task {
  /** Works on text: needs a tokenizer. */
  readonly text: boolean;
  start(model: RND1, signal: AbortSignal): AsyncGenerator<Frame, Result, void>;
  /** What is printed at the end. */
  final(result: Result): string;
  /** What is printed after Ctrl-C. `positions` are those that were masked at the start. */
  partial(frame: Frame, positions: readonly number[], model: RND1): string;
}

/** Loads the model, denoises, prints. Rejects with `Interrupted` after Ctrl-C, when everything is printed. */
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

/** Loads a model behind a bar. */
export async function loadModel(
  flags: ModelFlags & {
    readonly quiet?: boolean;
    readonly maxRowsPerStep?: number;
    readonly promptTimeout?: number;
  },
  signal: AbortSignal,
): Promise<RND1> {
  const { device, dtype, threads, mmap, maxRowsPerStep, promptTimeout } = flags;
  const loading = flags.quiet ? null : new LoadingBar(process.stderr);
  try {
    const hub = hubOf(flags);
    return await RND1.load(flags.model, {
      ...hub,
      device,
      dtype,
      threads,
      mmap,
      maxRowsPerStep,
      promptTimeout,
      signal,
      onProgress: loading?.update,
    });
  } finally {
    loading?.close();
  }
}

async function denoise(task: Task, model: RND1, flags: OutputFlags, signal: AbortSignal): Promise<void> {
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const frames = task.start(model, signal);
  const view = viewOf(task, model, flags);
  let last: Frame | null = null;
  try {
    for (;;) {
      const next = await frames.next();
      if (next.done) {
        view.close();
        const { value } = next;
        print(
          flags.json
            ? JSON.stringify({ type: 'result', ...toJSON(value), seconds: seconds() })
            : task.final(value),
        );
        tell(flags, summary(value, seconds()));
        return;
      }
      last = next.value;
      view.show(last, seconds());
    }
  } catch (error) {
    view.close();
    if (error instanceof Interrupted) {
      if (flags.json) print(JSON.stringify(interruptedObject(last, view.positions, seconds())));
      else if (last !== null) print(task.partial(last, view.positions, model));
      tell(flags, last === null ? 'interrupted' : `interrupted after step ${last.step} of ${last.steps}`);
    }
    throw error;
  } finally {
    view.close();
  }
}

/** How frames are shown while they come. */
interface View {
  /** Positions that were masked at the start; empty before the first frame. */
  readonly positions: readonly number[];
  show(frame: Frame, seconds: number): void;
  close(): void;
}

function viewOf(task: Task, model: RND1, flags: OutputFlags): View {
  const { tokenizer } = model;
  const decode =
    task.text && tokenizer !== null
      ? (tokens: readonly number[]) => tokenizer.decode(tokens, { skipSpecialTokens: true })
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
      if (flags.json) print(JSON.stringify({ type: 'step', ...toJSON(frame) }));
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

/** Writes a line to standard output. A terminal is not given what would steer it. */
function print(text: string): void {
  const safe = process.stdout.isTTY ? withoutControls(text) : text;
  process.stdout.write(safe.endsWith('\n') ? safe : `${safe}\n`);
}

/** Writes a line for people, if there are any. */
function tell(flags: OutputFlags, text: string): void {
  if (!flags.quiet && process.stderr.isTTY) process.stderr.write(`${styleFor(process.stderr).dim(text)}\n`);
}

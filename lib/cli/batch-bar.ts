import type { BatchProgress } from '../batch/run';
import { formatTime } from './download-view';
import { ProgressLine, Waiting } from './progress';
import { bar, type Terminal } from './render';

/** The progress of a batch in a terminal: lines, tokens per second, time left. */
export class BatchBar {
  readonly #line: ProgressLine;
  readonly #waiting: Waiting;
  #start: number | null = null;

  constructor(
    terminal: Terminal,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#line = new ProgressLine(terminal, now);
    this.#waiting = new Waiting(terminal, now);
  }

  /** Shows `text` until there is progress to show. */
  begin(text: string): void {
    this.#waiting.begin(text);
  }

  /** Callback for `onProgress`. */
  readonly update = (progress: BatchProgress): void => {
    this.#waiting.close();
    this.#start ??= this.now();
    const time = (this.now() - this.#start) / 1000;
    this.#line.show(() => batchLine(progress, time));
  };

  /** Clears the line. */
  close(): void {
    this.#waiting.close();
    this.#line.close();
  }
}

/** `████░░░░ 1200/2000 lines, 3 errors, 812.5 tokens/s, 1:20 left`, `seconds` after this run began. */
export function batchLine(progress: BatchProgress, seconds: number): string {
  const { total, done, failed, resumed, tokens } = progress;
  const answered = done - resumed;
  return [
    `${bar(done / total, 24)} ${done}/${total} lines`,
    ...(failed > 0 ? [`${failed} ${failed === 1 ? 'error' : 'errors'}`] : []),
    ...(answered > 0 && seconds > 0
      ? [
          `${(tokens / seconds).toFixed(1)} tokens/s`,
          `${formatTime(((total - done) * seconds) / answered)} left`,
        ]
      : []),
  ].join(', ');
}

import { relative } from 'node:path';
import { printableMessage, printableName } from '../support/printable';
import type {
  TrainCheckpoint,
  TrainEvaluation,
  TrainEvent,
  TrainStep,
  TrainWarning,
} from '../training/events';
import { MovingAverage } from '../training/metrics/smooth';
import { formatTime } from './download-view';
import { bar, type Terminal } from './render';
import { Sparkline } from './sparkline';
import { canMoveCursor, type Style, styleFor } from './style';
import { textWidth, truncate } from './width';

/** Options of `TrainView`. */
export interface TrainViewOptions {
  /** Show nothing. @default false */
  readonly quiet?: boolean;
  /** Milliseconds between lines where no terminal is. @default 10,000 */
  readonly every?: number;
  readonly now?: () => number;
}

/** Pause between two drawings, in milliseconds. */
const pause = 100;
const sparkColumns = 32;
const barColumns = 24;
const gap = '  ';

/** A part of a line; the least important ones drop out where there is no room. */
type Part = readonly [importance: number, text: string];

/**
 * Shows a run: in a terminal two lines drawn in place, under the lines of evaluations, checkpoints and warnings; elsewhere
 * a line every few seconds.
 */
export class TrainView {
  readonly #style: Style;
  readonly #moves: boolean;
  readonly #quiet: boolean;
  readonly #every: number;
  readonly #now: () => number;
  readonly #average = new MovingAverage(0.9);
  readonly #spark = new Sparkline();
  #loss = Number.NaN;
  #start: { readonly time: number; readonly step: number } | null = null;
  #last: TrainStep | null = null;
  #shownAt = Number.NEGATIVE_INFINITY;
  /** Widths of the lines on the screen; the cursor is at the end of the last one. */
  #drawn: readonly number[] = [];

  constructor(
    private readonly terminal: Terminal,
    { quiet = false, every = 10_000, now = () => performance.now() }: TrainViewOptions = {},
  ) {
    this.#style = styleFor(terminal);
    this.#moves = canMoveCursor(terminal);
    this.#quiet = quiet;
    this.#every = every;
    this.#now = now;
  }

  /** Shows an event of `train`. */
  show(event: TrainEvent): void {
    if (this.#quiet) return;
    if (event.type === 'step') this.#step(event);
    else if (event.type === 'done') this.close();
    else this.#keep(lineOf(event));
  }

  /** Removes what is drawn; kept lines stay. */
  close(): void {
    if (this.#drawn.length > 0) this.terminal.write(`${this.#toTop()}\x1b[J`);
    this.#drawn = [];
  }

  #step(event: TrainStep): void {
    const time = this.#now();
    const first = this.#start === null;
    this.#start ??= { time: time - event.milliseconds.total, step: event.step - 1 };
    if (Number.isFinite(event.loss)) {
      this.#loss = this.#average.add(event.loss);
      this.#spark.add(this.#loss);
    }
    this.#last = event;
    if (!event.applied)
      this.#keep(
        `rnd1: warning: step ${count(event.step)}: gradients were not finite, the weights did not change`,
      );
    if (!first && event.step < event.steps && time - this.#shownAt < (this.#moves ? pause : this.#every))
      return;
    this.#shownAt = time;
    if (this.#moves) this.#draw();
    else this.terminal.write(`${this.#plain(event)}\n`);
  }

  /** Prints a line above what is drawn. */
  #keep(text: string): void {
    this.close();
    this.terminal.write(`${text}\n`);
    if (this.#moves && this.#last !== null) this.#draw();
  }

  #draw(): void {
    const event = this.#last as TrainStep;
    // The last column stays free: terminals differ in where the cursor is after writing into it.
    const columns = Math.max(1, (this.terminal.columns || 80) - 1);
    const lines = [this.#progress(event, columns), this.#numbers(event, columns)];
    const text = lines.map((line) => `\x1b[2K${this.#style.dim(line)}`).join('\n');
    this.terminal.write(`\x1b[?2026h${this.#toTop()}${text}\x1b[J\x1b[?2026l`);
    this.#drawn = lines.map(textWidth);
  }

  /** `step 1,234/5,000  ████░░░░  25 %  3:20 left` */
  #progress(event: TrainStep, columns: number): string {
    const { step, steps } = event;
    const share = step / steps;
    const parts: Part[] = [
      [3, stepOf(event)],
      [1, `${Math.floor(100 * share)} %`],
      [2, this.#left(event)],
    ];
    const room = Math.min(barColumns, columns - widthOf(parts) - gap.length);
    if (room >= 4) parts.splice(1, 0, [0, bar(share, room)]);
    return fitted(parts, columns);
  }

  /** `loss 1.432  ▇▅▃▂▁  12,345 tokens/s  lr 1.00e-3` */
  #numbers(event: TrainStep, columns: number): string {
    const parts: Part[] = [
      [4, this.#lossOf()],
      [3, speedOf(event)],
      [2, rateOf(event)],
    ];
    const free = columns - widthOf(parts) - gap.length;
    // Where there is little room, the curve is worth more than the learning rate.
    const room = free >= 8 ? free : free + gap.length + textWidth(rateOf(event));
    const spark = this.#spark.text(Math.max(0, Math.min(sparkColumns, room)));
    if (spark !== '') parts.splice(1, 0, [2.5, spark]);
    return fitted(parts, columns);
  }

  #plain(event: TrainStep): string {
    const parts = [stepOf(event), this.#lossOf(), speedOf(event), rateOf(event), this.#left(event)];
    return parts.filter((text) => text !== '').join(gap);
  }

  #lossOf(): string {
    return `loss ${decimal(this.#loss)}`;
  }

  /** By the pace since the start of the process, with its evaluations and checkpoints. */
  #left({ step, steps }: TrainStep): string {
    const start = this.#start;
    if (start === null || step === steps) return '';
    const each = (this.#now() - start.time) / (step - start.step);
    return `${formatTime(((steps - step) * each) / 1000)} left`;
  }

  /** Moves to the first column of the first drawn line, also after the terminal's width has changed. */
  #toTop(): string {
    const columns = Math.max(1, this.terminal.columns || 80);
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows > 1 ? `\r\x1b[${rows - 1}A` : '\r';
  }
}

/** The parts that fit, in order; the most important one is cut if it must be. */
function fitted(parts: readonly Part[], columns: number): string {
  let left = parts.filter(([, text]) => text !== '');
  while (left.length > 1 && widthOf(left) > columns) {
    const least = Math.min(...left.map(([importance]) => importance));
    left = left.filter(([importance]) => importance > least);
  }
  return truncate(left.map(([, text]) => text).join(gap), columns);
}

function widthOf(parts: readonly Part[]): number {
  const widths = parts.filter(([, text]) => text !== '').map(([, text]) => textWidth(text) + gap.length);
  return widths.reduce((sum, width) => sum + width, -gap.length);
}

function lineOf(event: TrainEvaluation | TrainCheckpoint | TrainWarning): string {
  const step = `step ${count(event.step)}`;
  if (event.type === 'warning') return `rnd1: warning: ${step}: ${printableMessage(event.message)}`;
  if (event.type === 'evaluation') return `${step}: evaluation: ${evaluated(event)}`;
  const folder = printableName(relative('', event.folder) || event.folder);
  return `${step}: checkpoint ${folder}, ${(event.milliseconds / 1000).toFixed(1)} s`;
}

function evaluated({ loss, maskedCrossEntropy }: TrainEvaluation): string {
  return `${decimal(loss)} nats per token, cross entropy ${decimal(maskedCrossEntropy)}`;
}

const count = (value: number) => value.toLocaleString('en-US');
const decimal = (value: number) => (Math.abs(value) < 1000 ? value.toFixed(3) : value.toPrecision(4));
const stepOf = ({ step, steps }: TrainStep) => `step ${count(step)}/${count(steps)}`;
const speedOf = ({ tokensPerSecond: speed }: TrainStep) =>
  `${count(speed < 10 ? Number(speed.toFixed(1)) : Math.round(speed))} tokens/s`;
const rateOf = ({ learningRate }: TrainStep) => `lr ${learningRate.toExponential(2)}`;

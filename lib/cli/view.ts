import type { DiffusionLM } from '../index';
import type { OutputFlags } from './options';
import type { Frame } from './output';
import { ProgressLine } from './progress';
import { LiveCanvas, type Status, statusLine } from './render';
import { canMoveCursor } from './style';

/** Shows frames as they arrive. */
export interface View {
  /** Positions that were masked at the start; empty before the first frame. */
  readonly positions: readonly number[];
  show(frame: Frame, seconds: number): void;
  /** Removes what was drawn. */
  close(): void;
}

/** What a view draws. */
export interface ViewOptions {
  /** Whether tokens are shown as text rather than as ids. */
  readonly text: boolean;
  /** Draw only what the model writes, without the text before and after it. */
  readonly answerOnly?: boolean;
}

/** Draws the canvas in a terminal while it unmasks, or a progress line elsewhere. */
export function viewOf(
  model: DiffusionLM,
  flags: Pick<OutputFlags, 'live' | 'json' | 'quiet'>,
  { text, answerOnly = false }: ViewOptions,
): View {
  const { tokenizer } = model;
  const decode =
    text && tokenizer !== null
      ? (tokens: readonly number[], continues: boolean) =>
          tokenizer.decode(tokens, { skipSpecialTokens: true, continues: continues || answerOnly })
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
        const drawn = answerOnly ? new Uint8Array(positions.length).fill(1) : holes;
        canvas = live ? new LiveCanvas(process.stdout, { decode, holes: drawn }) : null;
      }
      const status = statusOf(frame, positions, seconds);
      canvas?.draw(answerOnly ? answerOf(frame, positions) : frame, status);
      line?.show((columns) => statusLine(status, columns));
    },
    close() {
      canvas?.close();
      line?.close();
    },
  };
}

/** The part of a frame that is written: the positions of an answer follow one another. */
function answerOf({ tokens, masked, committed }: Frame, positions: readonly number[]) {
  const first = positions[0] ?? 0;
  const end = first + positions.length;
  return {
    tokens: tokens.subarray(first, end),
    masked: masked.subarray(first, end),
    committed: committed.map((position) => position - first),
  };
}

function statusOf({ step, steps, masked }: Frame, positions: readonly number[], seconds: number): Status {
  const total = positions.length;
  const left = positions.filter((position) => masked[position] === 1).length;
  return { step, steps, filled: total - left, total, seconds };
}

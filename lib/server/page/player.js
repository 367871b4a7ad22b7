/**
 * Which frame is shown, and when the next one follows. Frames may come in faster than one can watch, or slower: each
 * is shown for `dwell` milliseconds at least. Knows no clock: `advance` is told the time.
 */
export class Player {
  /** Frames that are shown; 0 is the canvas before the first step. */
  shown = 0;
  /** Frames that there are. */
  count = 0;
  playing = false;
  /** More frames may come. */
  open = false;
  /** Milliseconds that a frame stays. */
  dwell = 0;
  #since = Number.NEGATIVE_INFINITY;

  /** A new run: nothing is there yet, and what comes is played. */
  begin() {
    Object.assign(this, { shown: 0, count: 0, playing: true, open: true });
    this.#since = Number.NEGATIVE_INFINITY;
  }

  /** No more frames will come. */
  close() {
    this.open = false;
    if (this.shown === this.count) this.playing = false;
  }

  /** Plays on, from the start when the end is shown. */
  play() {
    if (this.shown === this.count && !this.open) this.shown = 0;
    this.playing = this.open || this.shown < this.count;
  }

  pause() {
    this.playing = false;
  }

  /**
   * Shows a frame and stops there.
   *
   * @param {number} index
   */
  seek(index) {
    this.shown = Math.min(Math.max(0, index), this.count);
    this.playing = false;
  }

  /**
   * Goes on when it is time. Returns whether something else is shown now.
   *
   * @param {number} now milliseconds
   */
  advance(now) {
    if (!this.playing || this.shown >= this.count || now - this.#since < this.dwell) return false;
    this.shown = this.dwell > 0 ? this.shown + 1 : this.count;
    this.#since = now;
    if (this.shown === this.count && !this.open) this.playing = false;
    return true;
  }
}

/** How long a frame stays, by pace: a run of few steps may take its time, one of many must not take forever. */
const paces = { calm: [9000, 120, 900], brisk: [3500, 40, 350] };

/**
 * @param {string} pace `calm`, `brisk`, or `live`: as fast as the frames come
 * @param {number} steps
 */
export function dwellOf(pace, steps) {
  if (pace !== 'calm' && pace !== 'brisk') return 0;
  const [whole, min, max] = /** @type {[number, number, number]} */ (paces[pace]);
  return Math.min(max, Math.max(min, whole / Math.max(1, steps)));
}

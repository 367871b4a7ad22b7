/**
 * Decides which frame is shown, and when the next one follows. Frames may arrive faster than one can watch, or slower:
 * each is shown for at least `dwell` milliseconds. It has no clock: `advance` takes the time.
 */
export class Player {
  /** Number of the shown frame; 0 is the canvas before the first step. */
  shown = 0;
  /** Number of frames received. */
  count = 0;
  playing = false;
  /** More frames may arrive. */
  open = false;
  /** Milliseconds for which a frame is shown. */
  dwell = 0;
  #since = Number.NEGATIVE_INFINITY;

  /** Starts a new run: it has no frames yet, and they are played as they arrive. */
  begin() {
    Object.assign(this, { shown: 0, count: 0, playing: true, open: true });
    this.#since = Number.NEGATIVE_INFINITY;
  }

  /** Called when no more frames will arrive. */
  close() {
    this.open = false;
    if (this.shown === this.count) this.playing = false;
  }

  /** Plays from the current frame, or from the start if the end is shown. */
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
   * Shows the next frame when it is due. Returns whether the shown frame has changed.
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

/** By pace, milliseconds of a whole run and limits per frame: short runs are slower, long runs not endless. */
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

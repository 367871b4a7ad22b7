/**
 * When the parts of an animated picture are visible. Time is counted in frames: frame 0 is the canvas before the first
 * step. All runs of a picture share one clock, so that a step takes the same time in each.
 */
export class Timetable {
  /** Seconds before the first step. */
  #lead = 1;
  /** Seconds for which the last frame is shown. */
  #rest = 3.5;
  /** Seconds in which a part fades out. Parts appear at once. */
  #fade = 0.22;
  /** @type {Map<string, [number, number]>} */
  #spans = new Map();

  /** @param {number} frames of the longest run */
  constructor(frames) {
    this.frames = frames;
    this.step = Math.min(0.6, Math.max(0.1, 11 / Math.max(1, frames)));
    this.seconds = this.#lead + Math.max(0, frames - 1) * this.step + this.#rest;
  }

  /**
   * The classes of a part that is visible from one frame up to, but not including, another; Infinity is the end.
   * Without motion a picture shows the end of the runs.
   *
   * @param {number} from
   * @param {number} [to]
   */
  during(from, to = Number.POSITIVE_INFINITY) {
    const last = to === Number.POSITIVE_INFINITY;
    if (from === 0 && last) return '';
    const name = `t${from}${last ? '' : `-${to}`}`;
    this.#spans.set(name, [from, to]);
    return `${last ? '' : 'gone '}${name}`;
  }

  /** The style sheet of all classes returned so far. */
  get style() {
    const names = [...this.#spans.keys()];
    if (names.length === 0) return '';
    const still = '@media(prefers-reduced-motion:reduce){*{animation:none!important}}';
    return [...[...this.#spans].map(([name, span]) => this.#rule(name, span)), still].join('\n');
  }

  /**
   * @param {string} name
   * @param {[number, number]} span
   */
  #rule(name, [from, to]) {
    const start = this.#percent(this.#at(from));
    const end = this.#percent(this.#at(to));
    const gone = this.#percent(this.#at(to) + this.#fade);
    const before = from === 0 ? '0%' : `0%,${round(start - 0.01)}%{opacity:0}${start}%`;
    const after = Number.isFinite(to) ? `,${end}%{opacity:1}${gone}%,100%{opacity:0}` : ',100%{opacity:1}';
    return `.${name}{animation:${name} ${round(this.seconds)}s linear infinite}@keyframes ${name}{${before}${after}}`;
  }

  /** Seconds until a frame is shown. @param {number} frame */
  #at(frame) {
    return frame === 0 ? 0 : this.#lead + (frame - 1) * this.step;
  }

  /** @param {number} seconds */
  #percent(seconds) {
    return round((Math.min(seconds, this.seconds) / this.seconds) * 100);
  }
}

/** @param {number} value */
export const round = (value) => Math.round(value * 100) / 100;

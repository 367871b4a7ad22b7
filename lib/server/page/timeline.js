import { byId } from './dom.js';

/** @import { Recording } from './recording.js' */

const svg = 'http://www.w3.org/2000/svg';
const height = 100;

/**
 * The steps of a run as a chart above a scrubber: a bar for every step, as high as the number of tokens that it
 * committed, and a line for the entropy left after it.
 */
export class Timeline {
  #chart = /** @type {SVGSVGElement} */ (byId('chart'));
  #scrubber = /** @type {HTMLInputElement} */ (byId('scrubber'));
  #play = /** @type {HTMLButtonElement} */ (byId('play'));
  #previous = /** @type {HTMLButtonElement} */ (byId('previous'));
  #next = /** @type {HTMLButtonElement} */ (byId('next'));

  /**
   * @param {{ seek: (index: number) => void, step: (by: number) => void, toggle: () => void }} actions
   */
  constructor({ seek, step, toggle }) {
    this.#scrubber.addEventListener('input', () => seek(this.#scrubber.valueAsNumber));
    this.#previous.addEventListener('click', () => step(-1));
    this.#next.addEventListener('click', () => step(1));
    this.#play.addEventListener('click', toggle);
    this.#chart.addEventListener('click', (event) => {
      const box = this.#chart.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      seek(Math.ceil(share * Number(this.#scrubber.max)));
    });
  }

  /**
   * Draws the chart.
   *
   * @param {Recording} recording
   * @param {number} shown frames
   * @param {Recording | null} rival the other side of a race, whose steps have the same clock
   */
  draw(recording, shown, rival) {
    const { frames, entropies, holes } = recording;
    // During a run there is room for the steps that are still to come.
    const own = recording.closed
      ? frames.length
      : Math.max(frames.length, Math.min(recording.start.steps, holes.length));
    const steps =
      rival === null ? own : Math.max(own, rival.closed ? rival.frames.length : rival.holes.length);
    // Bars of a run with few steps are at most as broad as a finger.
    const width = Math.min(0.84, (48 * steps) / Math.max(1, this.#chart.clientWidth));
    const max = Math.max(1, ...recording.committed);
    this.#chart.setAttribute('viewBox', `0 0 ${Math.max(1, steps)} ${height}`);
    const bars = recording.committed.map((count, i) => {
      const bar = document.createElementNS(svg, 'rect');
      const tall = Math.max(4, (count / max) * height);
      const place = { x: i + (1 - width) / 2, y: height - tall, width, height: tall };
      for (const [name, value] of Object.entries(place)) bar.setAttribute(name, String(value));
      bar.setAttribute('class', i + 1 === shown ? 'now' : i < shown ? 'past' : 'future');
      return bar;
    });
    const highest = Math.max(0.01, ...entropies);
    const line = document.createElementNS(svg, 'polyline');
    const points = entropies.map((entropy, i) => `${i + 1},${height - (entropy / highest) * height * 0.94}`);
    line.setAttribute('points', points.join(' '));
    this.#chart.replaceChildren(...bars, ...(points.length > 1 ? [line] : []));
    this.#scrubber.max = String(Math.max(steps, 1));
    this.#scrubber.disabled = holes.length === 0 || frames.length === 0;
  }

  /**
   * Marks the shown frame.
   *
   * @param {number} shown
   * @param {{ count: number, playing: boolean, text: string }} state
   */
  mark(shown, { count, playing, text }) {
    this.#chart.querySelectorAll('rect').forEach((bar, i) => {
      bar.setAttribute('class', i + 1 === shown ? 'now' : i < shown ? 'past' : 'future');
    });
    this.#scrubber.value = String(shown);
    this.#scrubber.setAttribute('aria-valuetext', text);
    this.#play.disabled = count === 0;
    this.#previous.disabled = shown === 0;
    this.#next.disabled = shown === count;
    this.#play.classList.toggle('playing', playing);
    this.#play.ariaLabel = playing ? 'Pause' : 'Play';
  }

  /** Removes everything. */
  clear() {
    this.#chart.replaceChildren();
    this.#scrubber.disabled = true;
    this.mark(0, { count: 0, playing: false, text: 'Nothing yet' });
  }
}

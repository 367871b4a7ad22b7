import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { StepReport } from '../api/types';
import type { LossReason } from '../worker/lane';
import type { Queue } from './queue';

/** The cost of an answer. */
export interface Cost {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Forward passes. */
  readonly steps: number;
}

const powersOfTwo = (first: number, count: number) => Array.from({ length: count }, (_, i) => first * 2 ** i);

/** Milliseconds for which the cached text may lack the newest requests to `/metrics` itself. */
const shelfLife = 100;

/** Prometheus metrics of one server, in a registry of its own. */
export class Metrics {
  readonly registry = new Registry();
  readonly #requests = new Counter({
    name: 'rnd1_requests_total',
    help: 'Requests answered',
    labelNames: ['route', 'status'],
    registers: [this.registry],
  });
  readonly #seconds = new Histogram({
    name: 'rnd1_request_seconds',
    help: 'Time from a request to the end of its answer',
    labelNames: ['route'],
    buckets: powersOfTwo(0.005, 18),
    registers: [this.registry],
  });
  readonly #tokens = new Counter({
    name: 'rnd1_tokens_total',
    help: 'Tokens of prompts and answers',
    labelNames: ['kind'],
    registers: [this.registry],
  });
  readonly #stepsPerToken = new Histogram({
    name: 'rnd1_steps_per_token',
    help: 'Forward passes of an answer over its tokens',
    buckets: powersOfTwo(1 / 64, 8),
    registers: [this.registry],
  });
  readonly #stepSeconds = new Histogram({
    name: 'rnd1_step_seconds',
    help: 'Time of a step of the model',
    buckets: powersOfTwo(0.0005, 18),
    registers: [this.registry],
  });
  readonly #stepRows = new Histogram({
    name: 'rnd1_step_rows',
    help: 'Tokens of all canvases in a step, without those in key/value caches',
    buckets: powersOfTwo(16, 12),
    registers: [this.registry],
  });
  readonly #stepCanvases = new Histogram({
    name: 'rnd1_step_canvases',
    help: 'Canvases in a step',
    buckets: powersOfTwo(1, 9),
    registers: [this.registry],
  });
  readonly #committed = new Counter({
    name: 'rnd1_committed_tokens_total',
    help: 'Positions that steps have committed',
    registers: [this.registry],
  });
  readonly #lost = new Counter({
    name: 'rnd1_lost_threads_total',
    help: 'Worker threads that ended: by the time limit of a prompt, by the memory limit, or by a crash',
    labelNames: ['thread', 'reason'],
    registers: [this.registry],
  });

  readonly #queue: Queue;
  #text: { readonly bytes: Promise<Buffer>; readonly made: number; readonly queue: string } | null = null;

  /** `cacheBytes`: the bytes of key/value caches. */
  constructor(queue: Queue, cacheBytes: () => number) {
    this.#queue = queue;
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers: [this.registry],
        collect() {
          this.set(value());
        },
      });
    gauge('rnd1_running_canvases', 'Canvases that are running', () => queue.running);
    gauge('rnd1_queued_canvases', 'Canvases that wait for a place', () => queue.queued);
    gauge('rnd1_queue_limit', 'Canvases that may wait', () => queue.maxQueued);
    gauge('rnd1_cache_bytes', 'Bytes of the key/value caches of running and of finished texts', cacheBytes);
  }

  /** All metrics in Prometheus' text format, rendered again only after a change, however often they are requested. */
  text(): Promise<Buffer> {
    const queue = `${this.#queue.running} ${this.#queue.queued}`;
    const made = performance.now();
    if (this.#text === null || this.#text.queue !== queue || made - this.#text.made > shelfLife) {
      this.#text = { bytes: this.registry.metrics().then((text) => Buffer.from(text)), made, queue };
    }
    return this.#text.bytes;
  }

  readonly onStep = ({ canvases, rows, committed, seconds }: StepReport): void => {
    this.#text = null;
    this.#stepSeconds.observe(seconds);
    this.#stepRows.observe(rows);
    this.#stepCanvases.observe(canvases);
    this.#committed.inc(committed);
  };

  /** Counts lost threads: those of the tokenizer, or the one that renders the chat template. */
  onLost(thread: 'tokenizer' | 'template'): (reason: LossReason) => void {
    return (reason) => this.#lost.inc({ thread, reason });
  }

  onRequest(route: string, status: number, seconds: number): void {
    if (route !== '/metrics') this.#text = null;
    this.#requests.inc({ route, status });
    this.#seconds.observe({ route }, seconds);
  }

  onAnswer({ promptTokens, completionTokens, steps }: Cost): void {
    this.#text = null;
    this.#tokens.inc({ kind: 'prompt' }, promptTokens);
    this.#tokens.inc({ kind: 'completion' }, completionTokens);
    if (completionTokens > 0) this.#stepsPerToken.observe(steps / completionTokens);
  }
}

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import type { Context } from './context';
import { asApiError } from './errors';
import { begin, type CanvasPlan, type Work } from './prepared-canvas';
import type { Leave } from './queue';
import type { Call } from './request-lifetime';

/** Canvases of a request, laid out and queued. */
export interface Queued {
  readonly call: Call;
  readonly works: readonly Work[];
  /** Resolves when there is room to compute all of them. */
  readonly entering: Promise<Leave>;
}

/**
 * How a route computes its answer and writes it: whole, or as events.
 *
 * `Part` is what `compute` yields, `Answer` what it returns.
 */
export interface AnswerFormat<Part, Answer> {
  compute(): AsyncGenerator<Part, Answer, void>;
  /** The whole answer as a JSON object. */
  whole(answer: Answer): object;
  /** Events sent before there is room to compute. */
  opening(): readonly string[];
  /** The event of a part; null for none. */
  event(part: Part): string | null;
  /** Events after the last part. */
  closing(answer: Answer): readonly string[];
  /** The last event of a failed stream. */
  failure(error: object): string;
}

/**
 * Lays out the canvases of a request and requests places in the queue.
 *
 * @throws ApiError 400 for arguments that the library refuses, 429 if the queue is full
 */
export async function layOut(context: Context, call: Call, plans: readonly CanvasPlan[]): Promise<Queued> {
  context.checkCount(plans.length);
  const works: Work[] = [];
  for (const plan of plans) {
    // A long canvas takes milliseconds, and there may be many: yield to the event loop in between.
    if (works.length > 0) await nextTurn();
    works.push(await begin(plan, context));
  }
  return { call, works, entering: context.enter(call, works.length) };
}

/** Computes an answer once there is room, and sends it as one JSON object or, with `stream`, event by event. */
export async function respond<Part, Answer>(
  context: Context,
  queued: Queued,
  format: AnswerFormat<Part, Answer>,
  reply: FastifyReply,
  stream: boolean,
): Promise<unknown> {
  return stream ? context.stream(queued.call, reply, events(context, queued, format)) : whole(queued, format);
}

async function whole<Part, Answer>(queued: Queued, format: AnswerFormat<Part, Answer>): Promise<object> {
  try {
    const leave = await queued.entering;
    const parts = format.compute();
    try {
      for (;;) {
        const next = await parts.next();
        if (next.done) return format.whole(next.value);
      }
    } finally {
      leave();
    }
  } finally {
    await release(queued);
  }
}

async function* events<Part, Answer>(
  context: Context,
  queued: Queued,
  format: AnswerFormat<Part, Answer>,
): AsyncGenerator<string, void> {
  try {
    yield* format.opening();
    const leave = await queued.entering;
    let answer: Answer;
    try {
      answer = yield* computed(format);
    } finally {
      leave();
    }
    yield* format.closing(answer);
  } catch (error) {
    context.failed(queued.call, error);
    yield format.failure(asApiError(error).body);
  } finally {
    await release(queued);
  }
}

async function* computed<Part, Answer>(
  format: AnswerFormat<Part, Answer>,
): AsyncGenerator<string, Answer, void> {
  const parts = format.compute();
  try {
    for (;;) {
      const next = await parts.next();
      if (next.done) return next.value;
      const event = format.event(next.value);
      if (event !== null) yield event;
    }
  } finally {
    await parts.return(undefined as never);
  }
}

/** Releases the canvases, whether or not they are finished. */
async function release({ works }: Queued): Promise<void> {
  for (const { frames } of works) await frames.return(undefined as never);
}

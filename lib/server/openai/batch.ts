import type { FastifyReply } from 'fastify';
import type { SamplingOptions } from '../../api/types';
import { samplingOf, seedJSON, seedOf } from '../body-options';
import type { Context } from '../context';
import { ApiError } from '../errors';
import { event } from '../event-stream';
import type { CanvasPlan, Frames } from '../prepared-canvas';
import type { Call } from '../request-lifetime';
import { type AnswerFormat, layOut, type Queued, respond } from '../respond';
import type { ChatBody, CompletionBody } from '../schemas';
import type { Piece } from './answer-text';
import { Answer, merge } from './answers';

/** One prompt of a request; `frames` is called `n` times. */
export interface Prompt {
  /** For the log, and for `echo`. */
  readonly text: string;
  frames(sampling: SamplingOptions): Frames;
}

/** Response format of one of OpenAI's two endpoints. */
export interface Format {
  /** Prefix of response ids. */
  readonly prefix: string;
  /** `object` of a whole answer, and of a chunk of a stream. */
  readonly object: string;
  readonly chunkObject: string;
  /** The chunk before the first text; null for none. */
  opening(index: number): Record<string, unknown> | null;
  /** Fields of a chunk's choice besides `index` and `finish_reason`, for a piece or the end; null for no chunk. */
  chunk(piece: Piece | null, index: number): Record<string, unknown> | null;
  /** Fields of a whole answer's choice besides these two. */
  choice(pieces: readonly Piece[], index: number): Record<string, unknown>;
}

/** The answers of one request, laid out and queued. */
export interface Batch {
  readonly context: Context;
  readonly body: CompletionBody | ChatBody;
  readonly queued: Queued;
  readonly answers: readonly Answer[];
  readonly prompts: readonly Prompt[];
  readonly seed: bigint;
}

/** Lays out `n` canvases per prompt, the i-th of them with seed + i, and requests places in the queue. */
export async function openBatch(
  context: Context,
  call: Call,
  body: CompletionBody | ChatBody,
  prompts: readonly Prompt[],
  { mayEnd, skipSpace }: { readonly mayEnd: boolean; readonly skipSpace: boolean },
): Promise<Batch> {
  const tokenizer = context.tokenizer();
  const n = body.n ?? 1;
  const seed = seedOf(body);
  const plans = prompts.flatMap((prompt) =>
    Array.from({ length: n }, (_, i): CanvasPlan => {
      const own = BigInt.asUintN(64, seed + BigInt(i));
      const frames = () => prompt.frames(samplingOf(body, own, call.signal));
      return { seed: own, text: true, mayEnd, frames };
    }),
  );
  const queued = await layOut(context, call, plans);
  // An empty stop string would end every answer before it begins, so it is ignored.
  const stop = [body.stop ?? []].flat().filter((text) => text !== '');
  const answers = queued.works.map((work, index) => {
    const continues = prompts[Math.floor(index / n)]?.text !== '';
    const revised = body.editing !== undefined && body.editing !== null;
    return new Answer(index, work, tokenizer, { skipSpace, stop, continues, revised });
  });
  return { context, body, queued, answers, prompts, seed };
}

/** Answers with one JSON object, or with a stream of chunks if the request asks for it. */
export async function answer(batch: Batch, format: Format, reply: FastifyReply): Promise<unknown> {
  const { context, queued, body } = batch;
  const stream = body.stream === true;
  const { include_usage, include_obfuscation } = body.stream_options ?? {};
  if (!stream && (include_usage || include_obfuscation)) {
    throw new ApiError(400, 'invalid_value', 'stream_options goes with stream', { param: 'stream_options' });
  }
  return respond(context, queued, answerFormat(batch, format), reply, stream);
}

/** A piece of one answer, or the mark of its beginning or end. */
interface Part {
  readonly index: number;
  readonly piece: Piece | 'begin' | 'end';
}

function answerFormat(batch: Batch, format: Format): AnswerFormat<Part, readonly (readonly Piece[])[]> {
  const { answers, body } = batch;
  const withUsage = body.stream_options?.include_usage === true;
  const envelope = { ...head(batch, format, format.chunkObject), ...(withUsage ? { usage: null } : {}) };
  return {
    compute: () => compute(batch),
    whole: (pieces) => ({
      ...head(batch, format, format.object),
      choices: answers.map(({ index, finish }) => ({
        index,
        ...format.choice(pieces[index] as readonly Piece[], index),
        finish_reason: finish,
      })),
      usage: usage(batch),
    }),
    opening: () => [],
    event({ index, piece }) {
      const choice =
        piece === 'begin' ? format.opening(index) : format.chunk(piece === 'end' ? null : piece, index);
      if (choice === null) return null;
      const finish_reason = piece === 'end' ? answers[index]?.finish : null;
      return event({ ...envelope, choices: [{ index, ...choice, finish_reason }] });
    },
    closing: () => [
      ...(withUsage ? [event({ ...envelope, choices: [], usage: usage(batch) })] : []),
      event('[DONE]'),
    ],
    failure: (error) => event({ error }),
  };
}

/** Computes all answers concurrently; returns the pieces of each. */
async function* compute({ context, queued, answers, prompts }: Batch) {
  const pieces: Piece[][] = answers.map(() => []);
  for (const { index } of answers) yield { index, piece: 'begin' } as const;
  for await (const { index, value } of merge(answers.map((each) => withEnd(each.pieces())))) {
    if (value !== 'end') pieces[index]?.push(value);
    yield { index, piece: value };
  }
  context.answered(
    queued.call,
    prompts.map(({ text }) => text),
    pieces.map((list) => list.map(({ text }) => text).join('')),
    answers.map(({ cost }) => cost),
  );
  return pieces;
}

/** The values of a generator, then `end`. */
async function* withEnd<T>(values: AsyncGenerator<T, void>): AsyncGenerator<T | 'end', void> {
  yield* values;
  yield 'end';
}

/** Fields at the start of whole answers and chunks. */
function head({ context, queued, seed }: Batch, { prefix }: Format, object: string) {
  const { modelName } = context.settings;
  return {
    id: `${prefix}-${queued.call.id}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model: modelName,
    system_fingerprint: context.fingerprint,
    seed: seedJSON(seed),
  };
}

/** A prompt counts once, however many answers it has. */
function usage({ answers, prompts }: Batch) {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const n = answers.length / prompts.length;
  const costs = answers.map(({ cost }) => cost);
  const prompt_tokens = sum(costs.filter((_, i) => i % n === 0).map(({ promptTokens }) => promptTokens));
  const completion_tokens = sum(costs.map(({ completionTokens }) => completionTokens));
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    steps: sum(costs.map(({ steps }) => steps)),
  };
}

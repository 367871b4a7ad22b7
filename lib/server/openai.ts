import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import type { SamplingOptions } from '../types';
import type { Piece } from './answer-text';
import { Answer, merge } from './answers';
import type { Call } from './call';
import type { Context } from './context';
import { ApiError, asApiError } from './errors';
import { event } from './event-stream';
import { samplingOf, seedJSON, seedOf } from './fields';
import type { Leave } from './queue';
import type { ChatBody, CompletionBody } from './schemas';
import { begin, type Frames } from './work';

/** One prompt of a request: how its frames are made, `n` times. */
export interface Prompt {
  /** For the log, and for `echo`. */
  readonly text: string;
  frames(sampling: SamplingOptions): Frames;
}

/** How one of OpenAI's two endpoints writes answers. */
export interface Format {
  /** Begins the id of an answer. */
  readonly prefix: string;
  /** `object` of a whole answer, and of a chunk of a stream. */
  readonly object: string;
  readonly chunkObject: string;
  /** Chunks that come before the first text. */
  opening(index: number): Record<string, unknown> | null;
  /** What a choice of a chunk holds besides `index` and `finish_reason`; null for a piece that says nothing. */
  chunk(piece: Piece | null, index: number): Record<string, unknown> | null;
  /** What a choice of a whole answer holds besides these. */
  choice(pieces: readonly Piece[], index: number): Record<string, unknown>;
}

/** The answers of one request, laid out and queued. */
export interface Batch {
  readonly context: Context;
  readonly call: Call;
  readonly body: CompletionBody | ChatBody;
  readonly answers: readonly Answer[];
  readonly prompts: readonly Prompt[];
  readonly entering: Promise<Leave>;
  readonly seed: bigint;
}

/** Lays out `n` canvases a prompt, the i-th of them with seed + i, and asks for places in the queue. */
export async function openBatch(
  context: Context,
  call: Call,
  body: CompletionBody | ChatBody,
  prompts: readonly Prompt[],
  { mayEnd, skipSpace }: { readonly mayEnd: boolean; readonly skipSpace: boolean },
): Promise<Batch> {
  const { model, settings } = context;
  const tokenizer = context.tokenizer();
  const n = body.n ?? 1;
  const count = prompts.length * n;
  context.checkCount(count);
  const seed = seedOf(body);
  // An empty string would end every answer before it begins: it asks for nothing.
  const stop = [body.stop ?? []].flat().filter((text) => text !== '');
  const answers: Answer[] = [];
  for (const prompt of prompts) {
    for (let i = 0; i < n; i++) {
      // Long canvases take milliseconds each, and there may be many: others have their turn in between.
      if (answers.length > 0) await nextTurn();
      const own = BigInt.asUintN(64, seed + BigInt(i));
      const frames = prompt.frames(samplingOf(body, own, call.signal));
      const work = await begin(model, frames, { ...settings, seed: own, text: true, mayEnd });
      const reading = { skipSpace, stop, continues: prompt.text !== '' };
      answers.push(new Answer(answers.length, work, tokenizer, reading));
    }
  }
  return { context, call, body, answers, prompts, seed, entering: context.enter(call, count) };
}

/** Answers with one JSON object, or with a stream of chunks where the request asks for it. */
export async function answer(batch: Batch, format: Format, reply: FastifyReply): Promise<unknown> {
  const { context, call, body } = batch;
  const { include_usage, include_obfuscation } = body.stream_options ?? {};
  if (body.stream !== true && (include_usage || include_obfuscation)) {
    throw new ApiError(400, 'invalid_value', 'stream_options goes with stream', { param: 'stream_options' });
  }
  return body.stream === true ? context.stream(call, reply, chunks(batch, format)) : whole(batch, format);
}

async function whole(batch: Batch, format: Format): Promise<Record<string, unknown>> {
  const { answers, entering } = batch;
  const leave = await entering;
  try {
    const pieces: Piece[][] = answers.map(() => []);
    for await (const { index, value } of merge(answers.map((each) => each.pieces())))
      pieces[index]?.push(value);
    finished(batch, pieces);
    return {
      ...head(batch, format, format.object),
      choices: answers.map(({ index, finish }) => ({
        index,
        ...format.choice(pieces[index] as Piece[], index),
        finish_reason: finish,
      })),
      usage: usage(batch),
    };
  } finally {
    leave();
  }
}

async function* chunks(batch: Batch, format: Format): AsyncGenerator<string, void> {
  const { answers, entering, body, context, call } = batch;
  const withUsage = body.stream_options?.include_usage === true;
  const envelope = { ...head(batch, format, format.chunkObject), ...(withUsage ? { usage: null } : {}) };
  const chunk = (index: number, choice: Record<string, unknown>, finish: string | null = null) =>
    event({ ...envelope, choices: [{ index, ...choice, finish_reason: finish }] });
  try {
    const pieces: Piece[][] = answers.map(() => []);
    const leave = await entering;
    try {
      for (const { index } of answers) {
        const opening = format.opening(index);
        if (opening !== null) yield chunk(index, opening);
      }
      for await (const { index, value } of merge(answers.map((each) => withEnd(each.pieces())))) {
        if (value !== null) pieces[index]?.push(value);
        const choice = format.chunk(value, index);
        if (choice !== null) yield chunk(index, choice, value === null ? answers[index]?.finish : null);
      }
    } finally {
      leave();
    }
    finished(batch, pieces);
    if (withUsage) yield event({ ...envelope, choices: [], usage: usage(batch) });
    yield event('[DONE]');
  } catch (error) {
    context.failed(call, error);
    yield event({ error: asApiError(error).body });
  } finally {
    for (const { work } of answers) await work.frames.return(undefined as never);
  }
}

/** The values of a generator, then null. */
async function* withEnd<T>(values: AsyncGenerator<T, void>): AsyncGenerator<T | null, void> {
  yield* values;
  yield null;
}

/** What the log and the metrics learn of answers. */
function finished({ context, call, answers, prompts }: Batch, pieces: readonly (readonly Piece[])[]): void {
  for (const { cost } of answers) context.metrics.onAnswer(cost);
  const texts = pieces.map((list) => list.map(({ text }) => text).join(''));
  context.answered(
    call,
    prompts.map(({ text }) => text),
    texts,
  );
}

/** What whole answers and chunks begin with. */
function head({ context, call, seed }: Batch, { prefix }: Format, object: string) {
  const { modelName } = context.settings;
  return {
    id: `${prefix}-${call.id}`,
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

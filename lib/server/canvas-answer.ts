import type { FastifyReply } from 'fastify';
import type { SamplingOptions, TextResult } from '../api/types';
import { samplingOf, seedJSON, seedOf } from './body-options';
import type { Context } from './context';
import { event } from './event-stream';
import type { Cost } from './metrics';
import {
  checkTextLength,
  type Frame,
  type Frames,
  lengthOf,
  type Result,
  type Work,
} from './prepared-canvas';
import type { Call } from './request-lifetime';
import { type AnswerFormat, layOut, respond } from './respond';
import type { SamplingBody } from './schemas';
import type { TokenTexts } from './token-texts';

/** The one canvas of a request to one of rnd1's own routes. */
export interface CanvasRequest {
  /** Its input texts, for the length check and the log. */
  readonly texts: readonly string[];
  /** Whether it is made of texts rather than of token ids. */
  readonly text: boolean;
  readonly mayEnd: boolean;
  /** Answer with events instead of one JSON object. */
  readonly stream: boolean;
  framesOf(sampling: SamplingOptions): Frames;
}

/** Denoises a canvas and answers with its frames as events, or with its text. */
export async function answerCanvas(
  context: Context,
  call: Call,
  reply: FastifyReply,
  body: SamplingBody,
  { texts, text, mayEnd, stream, framesOf }: CanvasRequest,
): Promise<unknown> {
  checkTextLength(lengthOf(texts), context);
  const seed = seedOf(body);
  const frames = () => framesOf(samplingOf(body, seed, call.signal));
  const queued = await layOut(context, call, [{ seed, text, mayEnd, frames }]);
  const [work] = queued.works as readonly [Work];
  return respond(context, queued, formatOf(context, call, work, texts), reply, stream);
}

/** Result and cost of a canvas. */
interface Finished {
  readonly result: Result;
  readonly cost: Cost;
}

/** Events: `start`, a `frame` for every step that commits something, `end` or `error`. */
function formatOf(
  context: Context,
  call: Call,
  work: Work,
  texts: readonly string[],
): AnswerFormat<Frame, Finished> {
  const { settings, texts: tokenTexts } = context;
  const milliseconds = () => Math.round(call.elapsed * 1000) / 1000;
  const envelope = { id: call.id, model: settings.modelName, seed: seedJSON(work.seed) };
  return {
    async *compute() {
      const result = yield* work.frames;
      const cost = {
        promptTokens: work.promptTokens,
        completionTokens: writtenTokens(result, work.ends),
        steps: result.forwards,
      };
      context.answered(call, texts, 'written' in result ? result.written : [], [cost]);
      return { result, cost };
    },
    whole({ result, cost }) {
      const { text, written } = result as TextResult;
      const total_tokens = cost.promptTokens + cost.completionTokens;
      return { ...envelope, text, written, usage: { ...usageOf(cost), total_tokens } };
    },
    opening: () => [event({ ...envelope, ...startOf(work.initial, tokenTexts) }, 'start')],
    event: (frame) => event({ ...frameOf(frame, tokenTexts), elapsed_ms: milliseconds() }, 'frame'),
    closing({ result, cost }) {
      const text = 'text' in result ? result.text : null;
      const end = { text, finish_reason: result.finishReason, usage: usageOf(cost) };
      return [event({ ...end, elapsed_ms: milliseconds() }, 'end')];
    },
    failure: (error) => event({ error }, 'error'),
  };
}

function usageOf({ promptTokens, completionTokens, steps }: Cost) {
  return { prompt_tokens: promptTokens, completion_tokens: completionTokens, steps };
}

function startOf({ steps, tokens, masked }: Frame, texts: TokenTexts) {
  return {
    steps,
    tokens: [...tokens].map((id, position) => ({
      position,
      id,
      text: position === 0 ? texts.atStart(id) : texts.of(id),
      masked: masked[position] === 1,
    })),
  };
}

/** The prediction at a position, in `frame` events. */
interface Prediction {
  readonly position: number;
  readonly id: number;
  readonly text: string;
  /** Probability of the token. */
  readonly confidence: number;
  /** In nats. */
  readonly entropy: number;
}

function frameOf(frame: Frame, texts: TokenTexts) {
  const { step, tokens, masked, committed, edited, predicted, confidence, entropy } = frame;
  const prediction = (position: number): Prediction => {
    const id = predicted[position] as number;
    return {
      position,
      id,
      text: texts.of(id),
      confidence: Math.exp(confidence[position] as number),
      entropy: entropy[position] as number,
    };
  };
  const provisional: Prediction[] = [];
  for (let position = 0; position < tokens.length; position++) {
    if (masked[position] === 1) provisional.push(prediction(position));
  }
  return {
    step,
    masked: provisional.length,
    committed: Array.from(committed, prediction),
    edited: [...edited],
    provisional,
  };
}

/** Number of tokens before the end of the text. */
function writtenTokens({ tokens, positions }: Result, ends: ReadonlySet<number>): number {
  const end = positions.findIndex((position) => ends.has(tokens[position] as number));
  return end === -1 ? positions.length : end;
}

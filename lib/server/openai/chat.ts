import type { FastifyInstance } from 'fastify';
import { newTokens } from '../body-options';
import type { Context } from '../context';
import { ApiError } from '../errors';
import { absentNulls } from '../nulls';
import { checkTextLength } from '../prepared-canvas';
import { chatAnswer, computing, responses } from '../responses';
import { type ChatBody, chatBody } from '../schemas';
import type { TokenTexts } from '../token-texts';
import type { AnswerToken, Piece } from './answer-text';
import { answer, type Format, openBatch, type Prompt } from './batch';
import { promptOf } from './prompts';

/** `POST /v1/chat/completions` */
export function addChat(app: FastifyInstance, context: Context): void {
  const { model, settings, chatPrompts } = context;
  const schema = {
    operationId: 'createChatCompletion',
    summary: 'Answer in a conversation',
    tags: ['openai'],
    body: chatBody,
    ...responses(settings, chatAnswer, computing),
  };
  const options = { schema, preValidation: absentNulls };
  app.post<{ Body: ChatBody }>('/v1/chat/completions', options, async (request, reply) => {
    const { body } = request;
    const call = context.open(request, reply, body.model);
    const text = await promptOf(body, chatPrompts, call.signal);
    checkTextLength(text.length, context);
    const maxNewTokens = newTokens(maxTokensOf(body), true, model);
    const prompt: Prompt = {
      text,
      frames: (sampling) => model.denoise(text, { ...sampling, mode: 'completion', maxNewTokens }),
    };
    const reading = { skipSpace: (await chatPrompts.kind()) === 'task', mayEnd: true };
    const batch = await openBatch(context, call, body, [prompt], reading);
    return answer(batch, formatOf(body, context.texts), reply);
  });
}

function maxTokensOf({ max_tokens, max_completion_tokens }: ChatBody): number | null {
  if (typeof max_tokens === 'number' && typeof max_completion_tokens === 'number') {
    if (max_tokens !== max_completion_tokens) {
      const message = `max_tokens and max_completion_tokens mean the same, but are ${max_tokens} and ${max_completion_tokens}`;
      throw new ApiError(400, 'invalid_value', message, { param: 'max_tokens' });
    }
  }
  return max_completion_tokens ?? max_tokens ?? null;
}

function formatOf(body: ChatBody, texts: TokenTexts): Format {
  const top = body.top_logprobs ?? 0;
  if (top > 0 && body.logprobs !== true) {
    throw new ApiError(400, 'invalid_value', 'top_logprobs needs logprobs: true', { param: 'top_logprobs' });
  }
  const logprobs = (tokens: readonly AnswerToken[]) =>
    body.logprobs === true
      ? { content: tokens.map((token) => logprobOf(token, top, texts)), refusal: null }
      : null;
  const textOf = (pieces: readonly Piece[]) => pieces.map(({ text }) => text).join('');
  return {
    prefix: 'chatcmpl',
    object: 'chat.completion',
    chunkObject: 'chat.completion.chunk',
    opening: () => ({ delta: { role: 'assistant', content: '' }, logprobs: null }),
    chunk(piece) {
      if (piece === null) return { delta: {}, logprobs: null };
      if (piece.text === '' && body.logprobs !== true) return null;
      return { delta: { content: piece.text }, logprobs: logprobs(piece.tokens) };
    },
    choice: (pieces) => ({
      message: { role: 'assistant', content: textOf(pieces), refusal: null },
      logprobs: logprobs(pieces.flatMap(({ tokens }) => tokens)),
    }),
  };
}

function logprobOf({ id, logprob }: AnswerToken, top: number, texts: TokenTexts) {
  const token = texts.of(id);
  const entry = { token, logprob, bytes: texts.bytesOf(id) };
  return { ...entry, top_logprobs: top > 0 ? [entry] : [] };
}

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { DiffusionLM } from '../../diffusion-lm';
import { tokenList } from '../../support/validate';
import { newTokens } from '../body-options';
import type { Context } from '../context';
import { ApiError, asFieldError } from '../errors';
import { absentNulls } from '../nulls';
import { checkTextLength } from '../prepared-canvas';
import { completionAnswer, computing, responses } from '../responses';
import { type CompletionBody, completionBody } from '../schemas';
import type { TokenTexts } from '../token-texts';
import type { AnswerToken, Piece } from './answer-text';
import { answer, type Format, openBatch, type Prompt } from './batch';

/** OpenAI's default of `max_tokens`. */
const defaultInfillTokens = 16;

/** `POST /v1/completions` */
export function addCompletions(app: FastifyInstance, context: Context): void {
  const schema = {
    operationId: 'createCompletion',
    summary: 'Continue a text, or with `suffix` write between two texts',
    tags: ['openai'],
    body: completionBody,
    ...responses(context.settings, completionAnswer, computing),
  };
  const options = { schema, preValidation: [emptyPrompt, absentNulls] };
  app.post<{ Body: CompletionBody }>('/v1/completions', options, async (request, reply) => {
    const { body } = request;
    const call = context.open(request, reply, body.model);
    refuse(body);
    const prompts = promptsOf(body, context);
    const infills = typeof body.suffix === 'string' && body.suffix !== '';
    const batch = await openBatch(context, call, body, prompts, {
      skipSpace: false,
      mayEnd: !infills,
    });
    return answer(batch, formatOf(body, prompts, context.texts), reply);
  });
}

/** In OpenAI's API a null prompt means the empty text. */
async function emptyPrompt({ body }: FastifyRequest): Promise<void> {
  if (typeof body !== 'object' || body === null) return;
  const fields = body as { prompt?: unknown };
  if (fields.prompt === null) fields.prompt = '';
}

/** Refuses fields that exclude each other. */
function refuse(body: CompletionBody): void {
  const wrong = (param: string, message: string) => new ApiError(400, 'invalid_value', message, { param });
  const { best_of, n, echo, logprobs, suffix } = body;
  if (best_of !== undefined && best_of !== null && best_of !== (n ?? 1)) {
    throw wrong('best_of', `best_of must equal n (${n ?? 1}), not ${best_of}: answers are not ranked`);
  }
  if (echo && logprobs !== undefined && logprobs !== null) {
    throw wrong('logprobs', 'logprobs and echo exclude each other: prompts have no log-probabilities');
  }
  if (echo && suffix) throw wrong('echo', 'echo and suffix exclude each other');
}

function promptsOf(body: CompletionBody, context: Context): Prompt[] {
  const { model } = context;
  const prompt = body.prompt ?? '';
  const list: readonly (string | number[])[] =
    typeof prompt === 'string' ? [prompt] : isIds(prompt) ? [prompt] : (prompt as string[] | number[][]);
  context.checkCount(list.length * (body.n ?? 1));
  return list.map((one) => {
    if (typeof one !== 'string') return tokenPrompt(one, body, context);
    checkTextLength(one.length + (body.suffix?.length ?? 0), context);
    return textPrompt(one, body, model);
  });
}

const isIds = (prompt: NonNullable<CompletionBody['prompt']>): prompt is number[] =>
  typeof prompt[0] === 'number';

function textPrompt(text: string, body: CompletionBody, model: DiffusionLM): Prompt {
  const { suffix, max_tokens } = body;
  if (suffix) {
    const input = { prefix: text, suffix, length: max_tokens ?? defaultInfillTokens };
    return { text, frames: (sampling) => model.denoiseInfill(input, sampling) };
  }
  const maxNewTokens = newTokens(max_tokens, text !== '', model);
  return {
    text,
    frames: (sampling) => model.denoise(text, { ...sampling, mode: 'completion', maxNewTokens }),
  };
}

/** A prompt of token ids, denoised as `model.denoise` does it for texts. */
function tokenPrompt(prefix: number[], body: CompletionBody, { model, settings }: Context): Prompt {
  if (body.suffix)
    throw new ApiError(400, 'invalid_value', 'suffix needs a prompt of text', { param: 'suffix' });
  const { maxCanvasTokens } = settings;
  if (prefix.length > maxCanvasTokens) {
    const message = `a prompt of ${prefix.length} tokens: this server takes ${maxCanvasTokens}`;
    throw new ApiError(400, 'context_length_exceeded', message, { param: 'prompt' });
  }
  const maxNewTokens = newTokens(body.max_tokens, true, model);
  const { maskTokenId } = model.config.tokens;
  const banned = maskTokenId === null ? [] : [maskTokenId];
  try {
    tokenList('prompt', prefix, model.config.architecture.vocabulary);
  } catch (error) {
    throw asFieldError(error);
  }
  return {
    text: model.tokenizer?.decode(prefix) ?? '',
    frames: (sampling) => model.denoiseTokens({ ...sampling, prefix, maxNewTokens, banned, stopAtEos: true }),
  };
}

function formatOf(body: CompletionBody, prompts: readonly Prompt[], texts: TokenTexts): Format {
  const wantsLogprobs = body.logprobs !== undefined && body.logprobs !== null;
  const n = body.n ?? 1;
  const echo = (index: number) => (body.echo ? (prompts[Math.floor(index / n)]?.text ?? '') : '');
  const textOf = (pieces: readonly Piece[]) => pieces.map(({ text }) => text).join('');
  return {
    prefix: 'cmpl',
    object: 'text_completion',
    chunkObject: 'text_completion',
    opening: (index) => (body.echo ? { text: echo(index), logprobs: null } : null),
    chunk(piece) {
      if (piece === null) return { text: '', logprobs: null };
      if (piece.text === '' && !wantsLogprobs) return null;
      const logprobs = wantsLogprobs ? logprobsOf(piece.tokens, texts) : null;
      return { text: piece.text, logprobs };
    },
    choice: (pieces, index) => ({
      text: echo(index) + textOf(pieces),
      logprobs: wantsLogprobs
        ? logprobsOf(
            pieces.flatMap(({ tokens }) => tokens),
            texts,
          )
        : null,
    }),
  };
}

/** `logprobs` of a text, token by token as committed. `top_logprobs` holds only the committed token. */
function logprobsOf(tokens: readonly AnswerToken[], texts: TokenTexts) {
  return {
    tokens: tokens.map(({ id }) => texts.of(id)),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ id, logprob }) => ({ [texts.of(id)]: logprob })),
    text_offset: tokens.map(({ offset }) => offset),
  };
}

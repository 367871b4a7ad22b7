import type { FastifyInstance } from 'fastify';
import type { SamplingOptions, Template } from '../../api/types';
import type { DiffusionLM } from '../../diffusion-lm';
import { newTokens } from '../body-options';
import { answerCanvas } from '../canvas-answer';
import type { Context } from '../context';
import { ApiError } from '../errors';
import { absentNulls } from '../nulls';
import type { Frames } from '../prepared-canvas';
import { frames, responses, streaming } from '../responses';
import { type DenoiseBody, denoiseBody } from '../schemas';
import { textsOf } from './infill';

/** Fields by kind of canvas; the first field of a kind selects it. */
const kinds = {
  prompt: ['prompt', 'mode', 'max_tokens'],
  text: ['text', 'hole', 'tokens_per_hole'],
  length: ['length', 'prefix', 'suffix'],
  tokens: ['tokens', 'masked'],
} as const;

type Kind = keyof typeof kinds;

/** `POST /v1/denoise`: streams frames, with the confidence and entropy of provisional and committed tokens. */
export function addDenoise(app: FastifyInstance, context: Context): void {
  const { model, settings } = context;
  const schema = {
    operationId: 'denoise',
    summary: 'Watch a canvas unmask, step by step',
    description:
      'Takes one of `prompt`, `text` (with holes), `length` (between `prefix` and `suffix`) or `tokens` (with `masked`). ' +
      'Answers with events: `start`, `frame` for every step, `end` or `error`.',
    tags: ['rnd1'],
    body: denoiseBody,
    ...responses(settings, frames, streaming),
  };
  app.post<{ Body: DenoiseBody }>(
    '/v1/denoise',
    { schema, preValidation: absentNulls },
    async (request, reply) => {
      const { body } = request;
      const call = context.open(request, reply, body.model);
      const kind = kindOf(body);
      const { prompt, text, prefix, suffix } = body;
      const holed = textsOf((text ?? []) as Template);
      const texts = [prompt, prefix, suffix, ...holed].filter((part) => typeof part === 'string');
      return answerCanvas(context, call, reply, body, {
        texts,
        text: kind !== 'tokens',
        mayEnd: kind === 'prompt',
        stream: true,
        framesOf: (sampling) => framesOf(model, kind, body, sampling),
      });
    },
  );
}

/** The kind of canvas that a request asks for; fields of another kind are refused. */
function kindOf(body: DenoiseBody): Kind {
  const given = (name: keyof DenoiseBody) => body[name] !== undefined && body[name] !== null;
  const all = Object.keys(kinds) as Kind[];
  const found = all.filter(given);
  const [kind] = found;
  if (kind === undefined || found.length > 1) {
    const what = found.length > 1 ? `not ${found.join(' and ')} together` : 'and none is given';
    throw new ApiError(400, 'invalid_value', `one of ${all.join(', ')} is needed, ${what}`, {
      param: found[1],
    });
  }
  for (const other of all.filter((name) => name !== kind)) {
    const stray = kinds[other].find(given);
    if (stray !== undefined) {
      throw new ApiError(400, 'invalid_value', `${stray} goes with ${other}, not with ${kind}`, {
        param: stray,
      });
    }
  }
  return kind;
}

function framesOf(model: DiffusionLM, kind: Kind, body: DenoiseBody, sampling: SamplingOptions): Frames {
  const { prompt, text, prefix, suffix, length, tokens, masked } = body;
  switch (kind) {
    case 'prompt': {
      const maxNewTokens = newTokens(body.max_tokens, prompt !== '', model);
      return model.denoise(prompt as string, { ...sampling, mode: body.mode ?? undefined, maxNewTokens });
    }
    case 'text': {
      const holes = { hole: body.hole ?? undefined, tokensPerHole: body.tokens_per_hole ?? undefined };
      return model.denoiseFill(text as Template, { ...sampling, ...holes });
    }
    case 'length': {
      const input = { prefix: prefix ?? '', suffix: suffix ?? '', length: length as number };
      return model.denoiseInfill(input, sampling);
    }
    case 'tokens':
      return model.denoiseTokens({ ...sampling, canvas: tokens as number[], masked: masked ?? [] });
  }
}

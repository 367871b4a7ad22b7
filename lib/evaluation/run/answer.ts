import { createHash } from 'node:crypto';
import type { DiffusionLM, TextResult } from '../../index';
import { RND1Error } from '../../support/errors';
import { estimateLikelihood } from '../likelihood/estimate';
import type { ProgramRunner } from '../programs/program-runner';
import type { EvaluationRequest } from '../requests';
import { cutAtStops } from '../scoring/filters';
import { splitTokens } from '../split';
import type { AnsweredDocument, TaskSettings } from './options';

/**
 * What the model answers to a document. Its random numbers depend on the document alone.
 *
 * @throws RangeError that names the document, for a prompt that is too long
 */
export async function answerRequest(
  model: DiffusionLM,
  request: EvaluationRequest,
  settings: TaskSettings,
  signal: AbortSignal,
): Promise<AnsweredDocument> {
  try {
    return await answer(model, request, settings, signal);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(`document ${request.docId} of ${request.task}: ${error.message}`, { cause: error });
  }
}

async function answer(
  model: DiffusionLM,
  request: EvaluationRequest,
  settings: TaskSettings,
  signal: AbortSignal,
): Promise<AnsweredDocument> {
  const { task, docId } = request;
  const common = { task, docId, prompt: promptHash(request) };
  if (request.continuations !== undefined)
    return { ...common, ...(await likelihoodsOf(model, request, request.continuations, settings, signal)) };
  const seed = seedOf(settings.drawSeed, task, docId);
  const options = { ...settings.generation, seed, signal };
  if (request.template !== undefined) {
    const { maxNewTokens: _, addEos: __, reserveEnd: ___, ...filling } = options;
    const result = await model.fill(request.template, filling);
    return { ...common, output: result.text, ...costOf(model, result), ended: true };
  }
  const result = await model.generate(settings.beginning + request.context, {
    ...options,
    mode: 'completion',
  });
  const cost = costOf(model, result);
  if (!request.program) return { ...common, output: result.text, ...cost };
  const { until = [], reference } = request;
  const { passed } = await programsOf(request, settings).run(
    `${cutAtStops(result.text, until)}\n${reference}`,
  );
  return { ...common, output: { text: result.text, passed }, ...cost };
}

/** @throws RND1Error `invalid_data` if nothing runs programs */
export function programsOf({ task }: EvaluationRequest, { programs }: TaskSettings): ProgramRunner {
  if (programs !== undefined) return programs;
  throw new RND1Error(
    'invalid_data',
    `${task} runs programs that the model writes, which must be allowed: programs, or --allow-code-execution`,
  );
}

async function likelihoodsOf(
  model: DiffusionLM,
  { task, docId, context }: EvaluationRequest,
  continuations: readonly string[],
  { likelihood, beginning, drawSeed }: TaskSettings,
  signal: AbortSignal,
) {
  const { tokenizer } = model;
  if (tokenizer === null)
    throw new RND1Error(
      'tokenizer_missing',
      'the checkpoint has no tokenizer, which likelihoods of texts need',
    );
  const encode = (text: string) => tokenizer.encode(text);
  const [output, standardErrors]: [number[], (number | null)[]] = [[], []];
  let passes = 0;
  // Dream's code scores a target that is seen to end.
  const [end] = likelihood.estimator === 'dream' ? model.config.tokens.eosTokenIds : [];
  for (const [choice, continuation] of continuations.entries()) {
    const tokens = splitTokens(encode, context, continuation, { prefix: beginning });
    const estimate = await estimateLikelihood(model, {
      ...likelihood,
      prefix: tokens.context,
      target: tokens.continuation,
      ...(end === undefined ? {} : { suffix: [end] }),
      seed: seedOf(drawSeed, task, docId, choice),
      signal,
    });
    output.push(estimate.value);
    standardErrors.push(estimate.standardError);
    passes += estimate.passes;
  }
  return { output, standardErrors, passes, tokens: 0, unmasked: 0, ended: true };
}

/** Forward passes, tokens up to the end of the text, and whether there is one. */
function costOf(model: DiffusionLM, { tokens, positions, forwards }: TextResult) {
  const { eosTokenIds, maskTokenId } = model.config.tokens;
  const written = Array.from(positions, (position) => tokens[position] as number);
  const end = written.findIndex((token) => eosTokenIds.includes(token));
  return {
    passes: forwards,
    tokens: end < 0 ? written.length : end + 1,
    unmasked: written.filter((token) => token !== maskTokenId).length,
    ended: end >= 0,
  };
}

/** 64 bits of what identifies a draw. */
function seedOf(...parts: readonly (string | number | bigint)[]): bigint {
  return createHash('sha256').update(parts.join('\n')).digest().readBigUInt64LE();
}

/** 64 bits of all that a model is asked, in hexadecimal. */
export function promptHash({ context, continuations, template }: EvaluationRequest): string {
  const asked = JSON.stringify([context, continuations ?? null, template ?? null]);
  return createHash('sha256').update(asked).digest('hex').slice(0, 16);
}

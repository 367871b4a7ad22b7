import { createHash } from 'node:crypto';
import type { DiffusionLM, TextResult } from '../../index';
import { RND1Error } from '../../support/errors';
import { estimateLikelihood, isCausal } from '../likelihood/estimate';
import type { EvaluationRequest } from '../requests';
import { splitTokens } from '../split';
import type { AnsweredDocument, EvaluationGeneration, EvaluationLikelihood } from './options';

/** What a model is asked about a document, with all that its answer depends on: plain JSON. */
export interface EvaluationQuestion
  extends Pick<EvaluationRequest, 'task' | 'docId' | 'context' | 'continuations' | 'template'> {
  /** How likelihoods are estimated. */
  readonly likelihood: EvaluationLikelihood;
  /** How answers are written. */
  readonly generation: EvaluationGeneration;
  /** Text before the prompt: of the beginning-of-text token, for example. */
  readonly beginning: string;
  /** Seed of the random numbers, together with the task and the place of the document; an integer in decimal digits. */
  readonly drawSeed: string;
}

/** What a model has said: an answer whose program has not been run. */
export type ModelAnswer = Pick<
  AnsweredDocument,
  'standardErrors' | 'passes' | 'tokens' | 'unmasked' | 'ended'
> & {
  /** The written answer, or the log-likelihoods of the choices, in nats. */
  readonly output: string | readonly number[];
};

/** A model as `evaluate` sees it: one of this process, or what stands for one elsewhere. */
export interface EvaluatedModel {
  /** Whether positions see only those before them: likelihoods are exact then. */
  readonly causal: boolean;
  /** Number of tokens. */
  readonly vocabulary: number;
  /** Text of the beginning-of-text token; null without one. */
  readonly beginning: string | null;
  /**
   * Answers a question. The same question must get the same answer, whatever else is asked at the same time.
   *
   * @throws RangeError for a prompt that is too long; anything that ends the evaluation
   */
  answer(question: EvaluationQuestion, signal: AbortSignal): Promise<ModelAnswer>;
}

/** The model of this process. */
export function evaluatedModel(model: DiffusionLM): EvaluatedModel {
  const { config, tokenizer } = model;
  const { bosTokenId } = config.tokens;
  return {
    causal: isCausal(model),
    vocabulary: config.architecture.vocabulary,
    beginning: bosTokenId === null || tokenizer === null ? null : tokenizer.decode([bosTokenId]),
    answer: (question, signal) => answerOf(model, question, signal),
  };
}

async function answerOf(
  model: DiffusionLM,
  question: EvaluationQuestion,
  signal: AbortSignal,
): Promise<ModelAnswer> {
  const { continuations, template, context, beginning } = question;
  if (continuations !== undefined) return likelihoodsOf(model, question, continuations, signal);
  const options = { ...question.generation, seed: seedOf(question), signal };
  if (template !== undefined) {
    const { maxNewTokens: _, addEos: __, reserveEnd: ___, ...filling } = options;
    const result = await model.fill(template, filling);
    return { output: result.text, ...costOf(model, result), ended: true };
  }
  const result = await model.generate(beginning + context, { ...options, mode: 'completion' });
  return { output: result.text, ...costOf(model, result) };
}

async function likelihoodsOf(
  model: DiffusionLM,
  question: EvaluationQuestion,
  continuations: readonly string[],
  signal: AbortSignal,
) {
  const { context, likelihood, beginning } = question;
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
      seed: seedOf(question, choice),
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
function seedOf({ drawSeed, task, docId }: EvaluationQuestion, ...choice: readonly number[]): bigint {
  const parts = [drawSeed, task, docId, ...choice];
  return createHash('sha256').update(parts.join('\n')).digest().readBigUInt64LE();
}

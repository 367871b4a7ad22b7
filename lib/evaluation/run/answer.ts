import { createHash } from 'node:crypto';
import { RND1Error } from '../../support/errors';
import type { ProgramRunner } from '../programs/program-runner';
import type { EvaluationRequest } from '../requests';
import { cutAtStops } from '../scoring/filters';
import type { EvaluatedModel } from './evaluated-model';
import type { AnsweredDocument, TaskSettings } from './options';

/**
 * What the model answers to a document; a program that it writes is run here. Its random numbers depend on the document
 * alone.
 *
 * @throws RangeError that names the document, for a prompt that is too long
 */
export async function answerRequest(
  model: EvaluatedModel,
  request: EvaluationRequest,
  settings: TaskSettings,
  signal: AbortSignal,
): Promise<AnsweredDocument> {
  const { task, docId, context, continuations, template } = request;
  const { likelihood, generation, beginning, drawSeed } = settings;
  const answer = await model
    .answer(
      {
        ...{ task, docId, context, continuations, template },
        ...{ likelihood, generation, beginning, drawSeed: String(drawSeed) },
      },
      signal,
    )
    .catch((error: unknown) => {
      if (!(error instanceof RangeError)) throw error;
      throw new RangeError(`document ${docId} of ${task}: ${error.message}`, { cause: error });
    });
  const answered = { task, docId, prompt: promptHash(request), ...answer };
  if (!request.program) return answered;
  const text = answer.output as string;
  const program = `${cutAtStops(text, request.until ?? [])}\n${request.reference}`;
  const { passed } = await programsOf(request, settings).run(program);
  return { ...answered, output: { text, passed } };
}

/** @throws RND1Error `invalid_data` if nothing runs programs */
export function programsOf({ task }: EvaluationRequest, { programs }: TaskSettings): ProgramRunner {
  if (programs !== undefined) return programs;
  throw new RND1Error(
    'invalid_data',
    `${task} runs programs that the model writes, which must be allowed: programs, or --allow-code-execution`,
  );
}

/** 64 bits of all that a model is asked, in hexadecimal. */
export function promptHash({ context, continuations, template }: EvaluationRequest): string {
  const asked = JSON.stringify([context, continuations ?? null, template ?? null]);
  return createHash('sha256').update(asked).digest('hex').slice(0, 16);
}

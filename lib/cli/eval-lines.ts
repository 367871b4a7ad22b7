import { createHash, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Answer, Outcome } from '../batch/outcome';
import type { BatchRequest } from '../batch/request';
import type { EvaluatedModel, EvaluationQuestion, ModelAnswer } from '../evaluation';
import { evaluatedModel } from '../evaluation/run/evaluated-model';
import { type DiffusionLM, RND1Error } from '../index';
import { describeModel, identityOf, type ModelDescription, type ModelIdentity } from './model-description';

/** What is asked of workers beside the lines of batches. */
const [modelUrl, documentUrl] = ['/evaluation/model', '/evaluation/document'] as const;

/** What a worker says about its model. */
interface WorkerModel extends Pick<EvaluatedModel, 'causal' | 'vocabulary' | 'beginning'> {
  readonly description: ModelDescription;
}

/** A document's question, and the model that must answer it. */
interface AskedDocument {
  readonly model: ModelIdentity;
  readonly question: EvaluationQuestion;
}

/** An error as it travels. */
interface SentError {
  readonly kind: 'range' | 'type' | 'rnd1';
  readonly code: string;
  readonly message: string;
}

/** Answers the questions of evaluations with a model, and other lines by `lines`. */
export function evaluationAnswers(model: DiffusionLM, place: string | undefined, lines: Answer): Answer {
  const { answer, ...facts } = evaluatedModel(model);
  let description: Promise<ModelDescription> | undefined;
  const answerOf = async ({ url, body }: BatchRequest, signal: AbortSignal): Promise<object> => {
    description ??= describeModel(model, place);
    const own = await description;
    if (url === modelUrl) return { description: own, ...facts } satisfies WorkerModel;
    const { model: asked, question } = body as unknown as AskedDocument;
    if (!isDeepStrictEqual(asked, identityOf(own)))
      throw new RND1Error(
        'invalid_data',
        `a worker has another model: ${shown(identityOf(own))} instead of ${shown(asked)}`,
      );
    return answer(question, signal);
  };
  return async (request, signal) => {
    const { url, id: requestId } = request;
    if (url !== modelUrl && url !== documentUrl) return lines(request, signal);
    try {
      return { response: { status: 200, requestId, body: await answerOf(request, signal) } };
    } catch (error) {
      signal.throwIfAborted();
      const sent = sentError(error);
      if (sent === null) throw error;
      // What may succeed another time is repeated.
      const status = sent.code === 'out_of_memory' ? 503 : 400;
      return { response: { status, requestId, body: { error: sent } } };
    }
  };
}

const shown = ({ checkpoint, dtype, weightDtype }: ModelIdentity) =>
  `checkpoint ${checkpoint} with ${weightDtype} weights in ${dtype}`;

function sentError(error: unknown): SentError | null {
  const { message } = error as Error;
  if (error instanceof RND1Error) return { kind: 'rnd1', code: error.code, message };
  if (error instanceof RangeError) return { kind: 'range', code: '', message };
  if (error instanceof TypeError) return { kind: 'type', code: '', message };
  return null;
}

/** A model that workers have. */
export interface QueuedModel extends EvaluatedModel {
  readonly description: ModelDescription;
}

/** The model of the workers that `send` reaches; waits until there is one. */
export async function queuedModel(send: Answer, signal: AbortSignal): Promise<QueuedModel> {
  // What an earlier worker has said would be found in the queue.
  const asked = await resultOf(send, questionLine(modelUrl, 'model', { run: randomUUID() }), signal);
  const { description, ...facts } = asked as WorkerModel;
  const model = identityOf(description);
  return {
    ...facts,
    description,
    async answer(question, signal) {
      const name = `document ${question.docId} of ${question.task}`;
      const line = questionLine(documentUrl, name, { model, question });
      return (await resultOf(send, line, signal)) as ModelAnswer;
    },
  };
}

/** A question as a line: the same question has the same id. */
function questionLine(url: string, customId: string, body: object): BatchRequest {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  const id = hash(JSON.stringify([url, body])).toString('hex', 0, 12);
  return { line: 1, customId, url, body: { ...body }, key: hash(customId), id };
}

async function resultOf(send: Answer, line: BatchRequest, signal: AbortSignal): Promise<object> {
  const outcome: Outcome = await send(line, signal);
  if ('error' in outcome) throw new RND1Error('io', `${line.customId}: ${outcome.error.message}`);
  const { status, body } = outcome.response;
  if (status === 200) return body;
  throw receivedError((body as { readonly error?: Partial<SentError> }).error ?? {});
}

function receivedError({
  kind,
  code,
  message = 'a worker is of another version',
}: Partial<SentError>): Error {
  if (kind === 'range') return new RangeError(message);
  if (kind === 'type') return new TypeError(message);
  return new RND1Error((code ?? 'io') as RND1Error['code'], message);
}

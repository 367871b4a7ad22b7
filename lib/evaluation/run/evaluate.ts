import type { DiffusionLM } from '../../index';
import { forEachOf } from '../../support/for-each-of';
import { buildRequests, type EvaluationRequest } from '../requests';
import { type EvaluationScores, scoreOutputs } from '../scoring/scores';
import type { TaskDefinition } from '../tasks/definition';
import { answerRequest, programsOf, promptHash } from './answer';
import { type EvaluatedModel, evaluatedModel } from './evaluated-model';
import {
  type AnsweredDocument,
  type EvaluateOptions,
  readEvaluateOptions,
  type TaskSettings,
} from './options';

/** The documents of one of the tasks asked for, and what became of them. */
export interface EvaluatedTask extends EvaluationScores {
  /** Name of the task or group. */
  readonly name: string;
  /** As they were put to the model. */
  readonly requests: readonly EvaluationRequest[];
  /** In the order of the requests. */
  readonly answers: readonly AnsweredDocument[];
}

/**
 * Puts the documents of tasks to a model and scores its answers as lm-evaluation-harness does.
 *
 * @param model a loaded model, or what stands for one that is elsewhere
 * @returns the tasks in the order in which they were asked for
 * @throws RND1Error as `buildRequests`, `estimateLikelihood` and `generate`; TypeError or RangeError for wrong options
 */
export async function evaluate(
  model: DiffusionLM | EvaluatedModel,
  options: EvaluateOptions,
): Promise<EvaluatedTask[]> {
  const examined = 'answer' in model ? model : evaluatedModel(model);
  const { tasks, settings, answered, concurrency, onAnswer, onProgress, signal } = readEvaluateOptions(
    examined,
    options,
  );
  const known = new Map(answered.map((answer) => [keyOf(answer), answer]));
  const asked: AskedTask[] = [];
  for (const [i, task] of tasks.entries()) {
    const own = settings[i] as TaskSettings;
    asked.push({ task, settings: own, requests: await buildRequests(task, own.requests) });
  }
  refuseRepeated(asked.map(({ requests }) => requests));

  const answers = new Map<string, AnsweredDocument>();
  const open: { request: EvaluationRequest; settings: TaskSettings }[] = [];
  for (const { requests, settings } of asked)
    for (const request of requests) {
      if (request.program) programsOf(request, settings);
      const answer = known.get(keyOf(request));
      if (answer?.prompt === promptHash(request)) answers.set(keyOf(request), answer);
      else open.push({ request, settings });
    }
  const total = answers.size + open.length;
  const progress = { total, known: answers.size };
  onProgress({ ...progress, done: answers.size });
  await forEachOf(open, concurrency, signal, async ({ request, settings }, signal) => {
    const answer = await answerRequest(examined, request, settings, signal);
    answers.set(keyOf(request), answer);
    const done = answers.size;
    await onAnswer(answer);
    onProgress({ ...progress, done });
  });
  return asked.map(({ task, requests }) => {
    const given = requests.map((request) => answers.get(keyOf(request)) as AnsweredDocument);
    const scores = scoreOutputs(
      task,
      requests,
      given.map(({ output }) => output),
    );
    return { name: typeof task === 'string' ? task : task.name, requests, answers: given, ...scores };
  });
}

/** One of the tasks with its documents. */
interface AskedTask {
  readonly task: string | TaskDefinition;
  readonly settings: TaskSettings;
  readonly requests: readonly EvaluationRequest[];
}

const keyOf = ({ task, docId }: Pick<AnsweredDocument, 'task' | 'docId'>) => `${task}\n${docId}`;

function refuseRepeated(lists: readonly (readonly EvaluationRequest[])[]): void {
  const seen = new Set<string>();
  for (const requests of lists) {
    const names = new Set(requests.map(({ task }) => task));
    for (const name of names) if (seen.has(name)) throw new RangeError(`tasks has ${name} twice`);
    for (const name of names) seen.add(name);
  }
}

import { LineQueue } from '../batch/queue/line-queue';
import { withoutPassword } from '../batch/queue/redis';
import type { EvaluatedModel } from '../evaluation';
import { evaluatedModel } from '../evaluation/run/evaluated-model';
import { printableName } from '../support/printable';
import { queuedModel } from './eval-lines';
import { loadModel } from './loading';
import { describeModel, type ModelDescription } from './model-description';
import { defaultQueue, excludes, type ModelFlags, requires } from './options';

/** Flags that say what is evaluated. */
export interface EvaluatedModelFlags extends ModelFlags {
  readonly queue?: string;
  readonly queueName?: string;
  readonly chunk?: number;
  readonly concurrency?: number;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

/** What is evaluated. */
export interface EvaluationSubject {
  readonly model: EvaluatedModel;
  readonly description: ModelDescription;
  /** Documents that it should be asked at the same time. */
  readonly concurrency: number;
}

/** Milliseconds for which nothing is said when no worker is there. */
const patience = 2000;

/** Flags of what answers, which are the workers' with --queue. */
const workersFlags = ['model', 'device', 'dtype', 'threads', 'mmap', 'maxCacheBytes', 'revision'];

/** @throws UsageError for flags that do not go together */
export function checkQueueFlags(flags: EvaluatedModelFlags): void {
  if (flags.queue === undefined) requires(flags, '--queue', ['queueName', 'chunk']);
  else excludes(flags, '--queue', workersFlags);
}

/** Gives `work` the model that is evaluated: one of this process, or that of workers. */
export async function withEvaluatedModel(
  flags: EvaluatedModelFlags,
  signal: AbortSignal,
  work: (subject: EvaluationSubject) => Promise<void>,
): Promise<void> {
  const { queue: url, queueName: name = defaultQueue, chunk = 16 } = flags;
  if (url === undefined) {
    const model = await loadModel(flags, signal);
    try {
      const description = await describeModel(model, flags.model);
      await work({ model: evaluatedModel(model), description, concurrency: 32 });
    } finally {
      await model.dispose();
    }
    return;
  }
  const queue = await LineQueue.open({ url, name, chunk });
  try {
    const waiting = setTimeout(() => {
      const place = printableName(`${withoutPassword(url)} ${name}`);
      if (!flags.quiet) process.stderr.write(`rnd1: waiting for a worker of ${place}\n`);
    }, patience);
    const model = await queuedModel(queue.answer, signal).finally(() => clearTimeout(waiting));
    await work({ model, description: model.description, concurrency: 1024 });
  } finally {
    await queue.close();
  }
}

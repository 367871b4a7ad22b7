import { withoutPassword } from '../batch/queue/redis';
import type { EvaluatedModel } from '../evaluation';
import type { DiffusionLM } from '../index';
import { printableName } from '../support/printable';
import { queuedModel } from './eval-lines';
import { loadModel } from './loading';
import { describeModel, type ModelDescription } from './model-description';
import type { ModelFlags } from './options';
import { defaultQueue, openQueue, type QueueFlags, waitingForWorkers } from './queue';

/** Flags that say what is evaluated. */
export interface EvaluatedModelFlags extends ModelFlags, QueueFlags {
  readonly concurrency?: number;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

/** What is evaluated. */
export interface EvaluationSubject {
  readonly model: DiffusionLM | EvaluatedModel;
  readonly description: ModelDescription;
  /** Documents that it should be asked at the same time, if not as many as usual. */
  readonly concurrency?: number;
}

/** Milliseconds for which nothing is said when no worker is there. */
const patience = 2000;

/** Gives `work` the model that is evaluated: one of this process, or that of workers. */
export async function withEvaluatedModel(
  flags: EvaluatedModelFlags,
  signal: AbortSignal,
  work: (subject: EvaluationSubject) => Promise<void>,
): Promise<void> {
  const { queue: url, queueName: name = defaultQueue } = flags;
  if (url === undefined) {
    const model = await loadModel(flags, signal);
    try {
      const description = await describeModel(model, flags.model);
      await work({ model, description });
    } finally {
      await model.dispose();
    }
    return;
  }
  const queue = await openQueue(url, flags);
  try {
    const waiting = setTimeout(() => {
      const place = printableName(`${withoutPassword(url)} ${name}`);
      if (!flags.quiet) process.stderr.write(`rnd1: waiting for a worker of ${place}\n`);
    }, patience);
    const model = await queuedModel(queue.answer, signal).finally(() => clearTimeout(waiting));
    await work({ model, description: model.description, concurrency: waitingForWorkers });
  } finally {
    await queue.close();
  }
}

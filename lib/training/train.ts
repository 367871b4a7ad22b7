import { optionsObject } from '../support/validate';
import type { TrainEvent } from './events';
import { resumeNames, trainNames } from './train-names';
import type { ResumeOptions, TrainOptions } from './train-types';
import { TrainingRun } from './training-run';

/**
 * Trains a model, and yields what happens: every step, evaluation and checkpoint, then `done`. With `resume` it goes on
 * from a run's newest checkpoint, with the same bits as if it had not been interrupted. When the signal aborts, a
 * checkpoint of the last step is written. A consumer that leaves the loop ends the run without one.
 *
 * @throws RND1Error `invalid_checkpoint`, `unsupported_model`, `invalid_data` (data or options are not as they must be, or
 *   as they were), `io`, `not_finite` (the run has diverged), `out_of_memory`
 */
export async function* train(given: TrainOptions | ResumeOptions): AsyncGenerator<TrainEvent, void, void> {
  const resumes = typeof given === 'object' && given !== null && 'resume' in given;
  const run = resumes
    ? await TrainingRun.resume(optionsObject('options', given as ResumeOptions, resumeNames))
    : await TrainingRun.start(optionsObject('options', given as TrainOptions, trainNames));
  try {
    yield* events(run);
  } finally {
    await run.close();
  }
}

async function* events(run: TrainingRun): AsyncGenerator<TrainEvent, void, void> {
  const { options, control, progress } = run;
  const { steps, evaluation } = options;
  const { signal, saveEvery } = control;
  yield* run.warnings();
  try {
    for (;;) {
      const { step } = progress;
      const last = step === steps;
      if (last || (evaluation !== null && step % evaluation.every === 0)) yield* some(await run.evaluate());
      if (last || (step > 0 && step % saveEvery === 0)) yield* some(await run.save());
      if (last) break;
      signal?.throwIfAborted();
      yield* run.step();
    }
  } catch (error) {
    if (!signal?.aborted || error !== signal.reason) throw error;
    yield* some(await run.save());
  }
  const checkpoint = run.checkpoint as string;
  yield { type: 'done', step: progress.step, steps, checkpoint, complete: progress.step === steps };
}

function* some<T>(event: T | null): Generator<T, void, void> {
  if (event !== null) yield event;
}

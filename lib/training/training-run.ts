import { join } from 'node:path';
import { RND1Error } from '../support/errors';
import { evaluate } from './evaluate';
import type { TrainCheckpoint, TrainEvaluation, TrainStep, TrainWarning } from './events';
import { ExpertWatch } from './expert-watch';
import { RunLog } from './metrics/run-log';
import { noiseScaleOf } from './noise-scale';
import { batchesOf, type Objective, type ObjectiveBatches } from './objective';
import { fresh, OpenedRun, refuseChanges, resumedOptions, runFile, type SavedRun } from './opened-run';
import { type Control, readControl } from './run-control';
import { RunFolder } from './run-folder';
import { type RunModel, readRunModel } from './run-model';
import { type RunProgress, type RunState, readRunState } from './run-state';
import { scheduleFactor } from './schedules';
import { noiseAfter, stepEvent } from './step-report';
import { type RunOptions, readRunOptions } from './train-options';
import type { ResumeOptions, TrainOptions } from './train-types';
import type { Trainer } from './trainer';
import type { TrainedTensor } from './trainer-types';

const { version } = require('../../package.json') as { version: string };

/** A step's batches, and how long it took to make them. */
interface Prepared {
  readonly batches: ObjectiveBatches;
  readonly milliseconds: number;
}

/** So many steps in a row with gradients that are not finite end a run. */
const tolerated = 3;

/** A run in this process: everything that is open for it. */
export class TrainingRun {
  #prepared: { readonly step: number; readonly batches: Promise<Prepared> } | null = null;
  #last = performance.now();
  /** The newest checkpoint of this process, or the one it resumed. */
  #checkpoint: string | null;
  readonly #watch = new ExpertWatch();
  readonly #tensors: readonly TrainedTensor[];

  private constructor(
    readonly options: RunOptions,
    readonly control: Control,
    readonly progress: RunProgress,
    private readonly model: RunModel,
    private readonly open: OpenedRun,
    checkpoint: string | null,
  ) {
    this.#checkpoint = checkpoint;
    this.#tensors = open.trainer.tensors;
  }

  /** Starts a run: nothing is written before model and data are open. */
  static async start(given: TrainOptions): Promise<TrainingRun> {
    const model = await readRunModel(given.model);
    const options = readRunOptions(given, model);
    const control = readControl(given);
    const open = await OpenedRun.of(options, control, model, null);
    try {
      open.folder = await RunFolder.create(given.output, runFile(options, control));
      open.log = await RunLog.open(open.folder.path, { tensorBoard: control.tensorBoard });
    } catch (error) {
      await open.close();
      throw error;
    }
    return new TrainingRun(options, control, fresh(), model, open, null);
  }

  /** Goes on from the newest checkpoint of a run, or from its beginning if there is none. */
  static async resume(given: ResumeOptions): Promise<TrainingRun> {
    const folder = await RunFolder.open(given.resume);
    let open: OpenedRun | null = null;
    try {
      const saved = folder.options as unknown as SavedRun;
      if (saved.format !== 1 || typeof saved.options !== 'object')
        throw new RND1Error('invalid_data', `${join(folder.path, 'run.json')} is not that of a run`);
      const options = resumedOptions(saved.options, given);
      const control = readControl(given, saved.control);
      const checkpoint = await folder.newest();
      const model = await readRunModel(checkpoint ?? options.model);
      open = await OpenedRun.of(options, control, model, checkpoint);
      const state = checkpoint === null ? null : readRunState(open.trainer.savedState, checkpoint);
      if (state !== null && given.allowChanged !== true) refuseChanges(state, options, open, given.resume);
      await folder.tidy(checkpoint);
      await folder.setOptions(runFile(options, control));
      const progress = state ?? fresh();
      open.log = await RunLog.open(folder.path, {
        // Before the first checkpoint, it begins anew.
        resumeStep: checkpoint === null ? -1 : progress.step,
        tensorBoard: control.tensorBoard,
      });
      open.folder = folder;
      const { step, tokens, skipped, noise, evaluated, best } = progress;
      const run = new TrainingRun(
        options,
        control,
        { step, tokens, skipped, noise, evaluated, best },
        model,
        open,
        checkpoint,
      );
      const { instructionSet } = open.trainer.info;
      if (state !== null && state.instructionSet !== instructionSet)
        run.open.notes.push(
          `the checkpoint was made with ${state.instructionSet}, this is ${instructionSet}: the bits will differ from an uninterrupted run`,
        );
      return run;
    } catch (error) {
      if (open?.folder === undefined) await folder.close();
      await open?.close();
      throw error;
    }
  }

  get trainer(): Trainer {
    return this.open.trainer;
  }

  /** The run's folder. */
  get folder(): string {
    return this.#folder.path;
  }

  /** The newest checkpoint. */
  get checkpoint(): string | null {
    return this.#checkpoint;
  }

  /** What was noticed while everything was opened. */
  warnings(): TrainWarning[] {
    const { open, progress } = this;
    const texts = [...open.notes, ...open.data.warnings, ...(open.evaluation?.warnings ?? [])];
    return texts.map((message) => ({ type: 'warning', step: progress.step, message }));
  }

  /**
   * One step of the optimizer. The next one's batches are made meanwhile.
   *
   * @throws RND1Error `not_finite` if the gradients were not finite for some steps in a row; the reason of an abort,
   *   after which everything is as before
   */
  async *step(): AsyncGenerator<TrainStep | TrainWarning, void, void> {
    const { options, progress, trainer } = this;
    const { step } = progress;
    const { batches, milliseconds } = await this.#take(step);
    if (step + 1 < options.steps) this.#prepare(step + 1);
    const before = trainer.steps;
    try {
      const result = await trainer.step(batches.batches, {
        rate: scheduleFactor(options.schedule, step, options.steps),
        batchNorms: options.noiseScale,
        signal: this.control.signal,
      });
      progress.skipped = result.applied ? 0 : progress.skipped + 1;
      progress.noise = noiseAfter(progress.noise, result, this.#tensors, options.microBatch);
      this.#advance(batches);
      const now = performance.now();
      const event = stepEvent({
        result,
        batches,
        options,
        tensors: this.#tensors,
        step: progress.step,
        tokens: progress.tokens,
        epoch: (progress.step * options.batch) / this.open.data.canvases,
        dataTime: milliseconds,
        time: now - this.#last,
        noise: options.noiseScale
          ? noiseScaleOf(progress.noise, {
              tokens: batches.tokens / options.batch,
              scored: batches.scored / options.batch,
            })
          : null,
      });
      this.#last = now;
      if (progress.step % this.control.logEvery === 0) await this.#log.write(event);
      yield event;
      for (const message of this.#watch.add(result.losses.expertRows))
        yield { type: 'warning', step: progress.step, message };
    } catch (error) {
      // An aborted call may have been too far to be stopped.
      if (progress.step === step && trainer.steps > before) this.#advance(batches);
      throw error;
    }
    if (progress.skipped >= tolerated)
      throw new RND1Error(
        'not_finite',
        `the gradients of ${tolerated} steps in a row, up to step ${progress.step}, are not finite: the run has diverged; a lower learning rate, a longer warm-up or stronger clipping may help`,
      );
  }

  /** Losses on the evaluation data; null if there is none, or if they are known. */
  async evaluate(): Promise<TrainEvaluation | null> {
    const { evaluation } = this.open;
    const { step, tokens } = this.progress;
    if (evaluation === null || this.options.evaluation === null || this.progress.evaluated === step)
      return null;
    const start = performance.now();
    const { canvases } = this.options.evaluation;
    const losses = await evaluate(
      this.trainer,
      await evaluation.read(0, Math.min(canvases, evaluation.canvases)),
      this.#objective,
      this.model,
      { microBatch: this.options.microBatch, signal: this.control.signal },
    );
    const now = performance.now();
    const event: TrainEvaluation = { type: 'evaluation', step, tokens, ...losses, milliseconds: now - start };
    this.progress.evaluated = step;
    const { best } = this.progress;
    if (best === null || event.loss < best.loss) this.progress.best = { loss: event.loss, step };
    await this.#log.write(event);
    this.#last += now - start;
    return event;
  }

  /** Writes a checkpoint, unless there is one of this step. */
  async save(): Promise<TrainCheckpoint | null> {
    const { step } = this.progress;
    const target = this.#folder.checkpoint(step);
    if (this.#checkpoint === target) return null;
    const start = performance.now();
    const { saveDtype, saveOnlyModel, saveLimit } = this.control;
    await this.#log.sync();
    await this.trainer.save(target, {
      dtype: saveDtype,
      optimizer: !saveOnlyModel,
      state: this.#state() as unknown as Record<string, unknown>,
    });
    await this.#folder.publish(target, saveLimit);
    this.#checkpoint = target;
    const milliseconds = performance.now() - start;
    this.#last += milliseconds;
    return { type: 'checkpoint', step, folder: target, milliseconds };
  }

  /** Frees everything. What was not saved is lost. */
  async close(): Promise<void> {
    await this.#prepared?.batches.catch(() => {});
    await this.open.close();
  }

  get #folder(): RunFolder {
    return this.open.folder as RunFolder;
  }

  get #log(): RunLog {
    return this.open.log as RunLog;
  }

  get #objective(): Objective {
    const { objective: kind, seed, ...rest } = this.options;
    return { kind, ...rest, seed: BigInt(seed) };
  }

  #state(): RunState {
    const { open, options, progress } = this;
    return {
      ...progress,
      options,
      data: open.data.fingerprint,
      evaluationData: open.evaluation?.fingerprint ?? null,
      instructionSet: open.trainer.info.instructionSet,
      version,
    };
  }

  #advance({ tokens }: ObjectiveBatches): void {
    this.progress.step++;
    this.progress.tokens += tokens;
  }

  #take(step: number): Promise<Prepared> {
    if (this.#prepared?.step !== step) this.#prepare(step);
    return (this.#prepared as { batches: Promise<Prepared> }).batches;
  }

  #prepare(step: number): void {
    const batches = this.#batches(step);
    // It is awaited by the step, unless that never comes.
    batches.catch(() => {});
    this.#prepared = { step, batches };
  }

  async #batches(step: number): Promise<Prepared> {
    const start = performance.now();
    const { batch, microBatch, auxCoef, auxScope, zCoef } = this.options;
    const first = step * batch;
    const canvases = await this.open.data.read(first, batch);
    const batches = batchesOf({ canvases, first, microBatch }, this.#objective, this.model, {
      auxCoef,
      auxScope,
      zCoef,
    });
    return { batches, milliseconds: performance.now() - start };
  }
}

import { resolve } from 'node:path';
import { RND1Error } from '../support/errors';
import { integerOption } from '../support/validate';
import { type DataSet, openData } from './data/data-set';
import type { RunLog } from './metrics/run-log';
import { type Control, type SavedControl, savedControl } from './run-control';
import type { RunFolder } from './run-folder';
import type { RunModel } from './run-model';
import { changesSince, type RunProgress, type RunState } from './run-state';
import { type RunOptions, readFiles } from './train-options';
import type { ResumeOptions } from './train-types';
import { Trainer } from './trainer';

/** What a run holds open, closed in one go. */
export class OpenedRun {
  folder: RunFolder | undefined;
  log: RunLog | undefined;
  readonly notes: string[] = [];

  private constructor(
    readonly trainer: Trainer,
    readonly data: DataSet,
    readonly evaluation: DataSet | null,
  ) {}

  static async of(
    options: RunOptions,
    { device, threads, recompute, onProgress, signal }: Control,
    model: RunModel,
    checkpoint: string | null,
  ): Promise<OpenedRun> {
    const { sequenceLength, documents, tokenBytes, cache, dtype, seed, learningRate, optimizer } = options;
    const common = {
      sequenceLength,
      documents,
      tokenBytes: tokenBytes ?? undefined,
      cache: cache ?? undefined,
      seed: BigInt(seed),
      vocabulary: model.vocabulary,
      model: model.folder,
      signal,
    };
    const data = await openData(options.data, common);
    let evaluation: DataSet | null = null;
    try {
      if (options.evaluation !== null)
        evaluation = await openData(options.evaluation.data, { ...common, shuffle: false });
      const trainer = await Trainer.open(checkpoint ?? options.model, {
        optimizer: { ...optimizer, learningRate },
        dtype,
        device,
        threads,
        recompute,
        onProgress,
        signal,
        resume: checkpoint !== null,
      });
      return new OpenedRun(trainer, data, evaluation);
    } catch (error) {
      await data.close();
      await evaluation?.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.log?.close();
    await this.trainer.dispose();
    await this.data.close();
    await this.evaluation?.close();
    await this.folder?.close();
  }
}

/** run.json. */
export interface SavedRun {
  readonly format: 1;
  readonly options: RunOptions;
  readonly control: SavedControl;
}

/** What run.json holds. */
export function runFile(options: RunOptions, control: Control): Record<string, unknown> {
  return { format: 1, options, control: savedControl(control) } satisfies SavedRun;
}

/** Of a run that has not begun. */
export const fresh = (): RunProgress => ({
  step: 0,
  tokens: 0,
  skipped: 0,
  noise: {},
  evaluated: -1,
  best: null,
});

/** The saved options with those that a resumed run may change. */
export function resumedOptions(
  saved: RunOptions,
  { data, evaluationData, steps }: ResumeOptions,
): RunOptions {
  const { evaluation } = saved;
  return {
    ...saved,
    ...(data === undefined ? {} : { data: readFiles('data', data) }),
    ...(steps === undefined ? {} : { steps: integerOption('steps', steps, 1) }),
    ...(evaluation === null || evaluationData === undefined
      ? {}
      : { evaluation: { ...evaluation, data: readFiles('evaluationData', evaluationData) } }),
  };
}

/** @throws RND1Error `invalid_data` naming what has changed */
export function refuseChanges(state: RunState, options: RunOptions, open: OpenedRun, folder: string): void {
  const changes = changesSince(state, options, open.data.fingerprint, open.evaluation?.fingerprint ?? null);
  if (changes.length > 0)
    throw new RND1Error(
      'invalid_data',
      `${resolve(folder)} cannot go on as it began: ${changes.join('; ')}. allowChanged accepts that, and other numbers`,
    );
}

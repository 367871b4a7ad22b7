import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TrainOptions, train } from '../../../lib/training';

/** A checkpoint of a run. */
export interface RunCheckpoint {
  readonly step: number;
  readonly folder: string;
}

/** Losses on held-out data. */
export interface RunLoss {
  readonly step: number;
  readonly loss: number;
  readonly maskedCrossEntropy: number;
}

/** Starts a run, or goes on with it, or finds it done. */
export async function finish(options: TrainOptions): Promise<void> {
  const { output } = options;
  const started = existsSync(join(output, 'run.json'));
  if (started && checkpoints(output).at(-1)?.step === options.steps) return;
  for await (const event of train(started ? { resume: output } : options))
    if (event.type === 'warning') console.error(`${output}: ${event.message}`);
}

/** The checkpoints of a run, by step. */
export function checkpoints(run: string): RunCheckpoint[] {
  return readdirSync(run)
    .flatMap((name) => {
      const step = /^checkpoint-(\d+)$/.exec(name)?.[1];
      return step === undefined ? [] : [{ step: Number(step), folder: join(run, name) }];
    })
    .sort((a, b) => a.step - b.step);
}

/** The evaluations of a run, by step. */
export function lossesOfRun(run: string): RunLoss[] {
  const lines = readFileSync(join(run, 'metrics.jsonl'), 'utf8').split('\n').filter(Boolean);
  return lines.flatMap((line) => {
    const { step, eval_loss: loss, eval_masked_ce: maskedCrossEntropy } = JSON.parse(line);
    return typeof loss === 'number' ? [{ step, loss, maskedCrossEntropy }] : [];
  });
}

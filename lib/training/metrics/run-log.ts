import type { TrainEvent } from '../events';
import { MetricsFile } from './metrics-file';
import { EventFile } from './tensorboard';

export interface RunLogOptions {
  /** The run goes on after so many steps: what was logged of later ones goes; −1 for all. Without it, the run is new. */
  readonly resumeStep?: number;
  /** Also write an event file for TensorBoard. @default true */
  readonly tensorBoard?: boolean;
  /** When the run or this part of it began. @default now */
  readonly startTime?: Date;
}

/** What a run leaves of its events: metrics.jsonl, and event files for TensorBoard. */
export class RunLog {
  private constructor(private readonly files: readonly (MetricsFile | EventFile)[]) {}

  /**
   * Opens the files in the folder of a run.
   *
   * @throws RND1Error `io`, also if a new run finds metrics of another
   */
  static async open(folder: string, options: RunLogOptions = {}): Promise<RunLog> {
    const { resumeStep, tensorBoard = true, startTime = new Date() } = options;
    const metrics = await MetricsFile.open(folder, resumeStep);
    try {
      return new RunLog(
        tensorBoard ? [metrics, await EventFile.open(folder, resumeStep, startTime)] : [metrics],
      );
    } catch (error) {
      await metrics.close();
      throw error;
    }
  }

  /**
   * Logs a step or an evaluation; other events are ignored.
   *
   * @throws RND1Error `io`
   */
  async write(event: TrainEvent): Promise<void> {
    if (event.type !== 'step' && event.type !== 'evaluation') return;
    const time = new Date();
    for (const file of this.files) await file.write(event, time);
  }

  /** Puts what was logged on the disk: before a checkpoint that a resumed run begins with. */
  async sync(): Promise<void> {
    for (const file of this.files) await file.sync();
  }

  async close(): Promise<void> {
    const closed = await Promise.allSettled(this.files.map((file) => file.close()));
    for (const result of closed) if (result.status === 'rejected') throw result.reason;
  }
}

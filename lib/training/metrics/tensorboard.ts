import { readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { AppendedFile } from '../../support/appended-file';
import { writing } from '../../support/write-files';
import type { TrainEvaluation, TrainStep } from '../events';
import { eventRecord } from './event-proto';
import { scalarsOf } from './scalars';

/** An event file of TensorBoard. Each start of a run writes one of its own; TensorBoard reads them in order of their names. */
export class EventFile {
  private constructor(private readonly file: AppendedFile) {}

  /**
   * Starts a file in the folder, named for the time. After `resumeStep` steps, TensorBoard drops what earlier files say of
   * later ones.
   *
   * @throws RND1Error `io`
   */
  static async open(folder: string, resumeStep: number | undefined, time: Date): Promise<EventFile> {
    const names = await writing(folder, () => readdir(folder));
    const used = names.map((name) => Number(/^events\.out\.tfevents\.(\d+)\./.exec(name)?.[1] ?? 0));
    // Two starts may be within a second, and a clock may go backwards.
    const seconds = Math.max(Math.floor(time.getTime() / 1000), Math.max(0, ...used) + 1);
    const host = hostname().replaceAll(/[^\w.-]/g, '_') || 'localhost';
    const name = `events.out.tfevents.${String(seconds).padStart(10, '0')}.${host}.${process.pid}`;
    const file = await AppendedFile.open(join(folder, name), { fresh: true });
    const wallTime = time.getTime() / 1000;
    try {
      await file.append(eventRecord(wallTime, 0, 'version'));
      if (resumeStep !== undefined) await file.append(eventRecord(wallTime, resumeStep + 1, 'start'));
    } catch (error) {
      await file.close();
      throw error;
    }
    return new EventFile(file);
  }

  async write(event: TrainStep | TrainEvaluation, time: Date): Promise<void> {
    await this.file.append(eventRecord(time.getTime() / 1000, event.step, scalarsOf(event)));
  }

  async sync(): Promise<void> {
    await this.file.sync();
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

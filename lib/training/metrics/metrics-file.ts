import { join } from 'node:path';
import { fileSize } from '../../checkpoint/files';
import { AppendedFile, linesOf } from '../../support/appended-file';
import { replaceFile } from '../../support/write-files';
import type { TrainEvaluation, TrainStep } from '../events';
import { lineOf } from './lines';

/** The file of a run's metrics, in its folder. */
export const metricsName = 'metrics.jsonl';

/** Lines that are written at once when the file is rewritten. */
const batch = 1000;

/** metrics.jsonl: a line of JSON for each step and evaluation. */
export class MetricsFile {
  private constructor(private readonly file: AppendedFile) {}

  /**
   * Starts the file, or continues it after `resumeStep` steps: lines of later steps go, and a last line that is not whole.
   *
   * @throws RND1Error `io` if the file exists and `resumeStep` is not given, or if it cannot be read or written
   */
  static async open(folder: string, resumeStep: number | undefined): Promise<MetricsFile> {
    const path = join(folder, metricsName);
    if (resumeStep !== undefined && (await fileSize(path)) !== null) await keepUpTo(path, resumeStep);
    return new MetricsFile(await AppendedFile.open(path, { fresh: resumeStep === undefined }));
  }

  async write(event: TrainStep | TrainEvaluation, time: Date): Promise<void> {
    await this.file.append(Buffer.from(`${JSON.stringify(lineOf(event, time))}\n`));
  }

  async sync(): Promise<void> {
    await this.file.sync();
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

/** Rewrites the file with the whole lines of the steps up to `last`. It is replaced at once. */
async function keepUpTo(path: string, last: number): Promise<void> {
  await replaceFile(path, async (handle) => {
    let kept: string[] = [];
    for await (const { text, whole } of linesOf(path)) {
      if (whole && stepOf(text) <= last) kept.push(`${text}\n`);
      if (kept.length < batch) continue;
      await handle.appendFile(kept.join(''));
      kept = [];
    }
    await handle.appendFile(kept.join(''));
  });
}

/** The step of a line; infinite if it is no JSON: a power cut may leave zeros. */
function stepOf(line: string): number {
  try {
    const { step } = JSON.parse(line) as { step?: unknown };
    return typeof step === 'number' ? step : Infinity;
  } catch {
    return Infinity;
  }
}

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RND1Error } from '../../support/errors';
import { printableName } from '../../support/printable';

const pattern = /^samples_(.+)\.jsonl$/;

/** The file of a task's samples in a folder of results. */
export const samplesPath = (folder: string, task: string) => join(folder, `samples_${task}.jsonl`);

/** Names of the tasks of which a folder has samples. @throws RND1Error `io` */
export async function sampledTasks(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch((error: Error) => {
    throw new RND1Error('io', `${printableName(folder)} cannot be read: ${error.message}`, { cause: error });
  });
  return entries.flatMap((entry) => pattern.exec(entry)?.[1] ?? []).sort();
}

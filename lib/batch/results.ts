import { rm, stat } from 'node:fs/promises';
import type { BatchFolder, NewFile } from './folder';
import { parseLine, readLines } from './json-lines';
import { readWritten } from './outcome';
import { OutputFile } from './output';
import type { BatchRecord, FileRecord } from './records';

/** Ids of the files that a batch leaves; null: none. */
export type ResultFiles = Pick<BatchRecord, 'outputFile' | 'errorFile'>;

/**
 * Makes the files of a batch: answers in one, errors in the other, each only if it has lines. What was made before an
 * interruption is made anew.
 */
export async function writeResults(folder: BatchFolder, batch: BatchRecord): Promise<ResultFiles> {
  const journal = folder.batches.dataOf(batch.id);
  const [output, errors] = [`${journal}.output`, `${journal}.errors`];
  await split(journal, output, errors);
  const names = new Set([`${batch.id}_output.jsonl`, `${batch.id}_error.jsonl`]);
  const earlier = [...folder.files.all].filter(
    ({ purpose, filename }) => purpose === 'batch_output' && names.has(filename),
  );
  for (const file of earlier) await folder.removeFile(file);
  const keep = batch.keepOutput;
  const adopt = async (path: string, name: string): Promise<FileRecord | null> => {
    const { size } = await stat(path);
    if (size > 0) {
      const file: NewFile = {
        owner: batch.owner,
        filename: `${batch.id}_${name}.jsonl`,
        purpose: 'batch_output',
        keep,
      };
      return folder.adopt(path, size, file);
    }
    await rm(path);
    return null;
  };
  const outputFile = await adopt(output, 'output');
  const errorFile = await adopt(errors, 'error');
  return { outputFile: outputFile?.id ?? null, errorFile: errorFile?.id ?? null };
}

/** Writes the lines of a journal into two files. */
async function split(journal: string, output: string, errors: string): Promise<void> {
  const files = [await OutputFile.open(output, 0)];
  try {
    files.push(await OutputFile.open(errors, 0));
    const [answers, others] = files as [OutputFile, OutputFile];
    for await (const { bytes } of readLines(journal)) {
      const isAnswer = readWritten(parseLine(bytes))?.succeeded === true;
      await (isAnswer ? answers : others).write(`${bytes.toString()}\n`);
    }
  } finally {
    for (const file of files) await file.close();
  }
}

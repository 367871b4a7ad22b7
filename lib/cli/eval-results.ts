import { compareResults, evaluationReport } from '../evaluation';
import { printableJson, printableName } from '../support/printable';
import { replaceFile } from '../support/write-files';
import { pairedLines } from './eval-view';
import { UsageError } from './input';

/** Flags of what is done with folders of results. */
interface ResultFlags {
  readonly tasks?: readonly string[];
  readonly json?: boolean;
}

/** Prints how two folders of results differ. */
export async function comparison(folders: readonly string[], { tasks, json }: ResultFlags): Promise<void> {
  const [first, second] = folders;
  if (first === undefined || second === undefined || folders.length > 2)
    throw new UsageError('--compare takes two folders');
  if (tasks !== undefined) throw new UsageError('--compare and --tasks exclude each other');
  const pairs = await compareResults(first, second);
  const text = json ? printableJson(JSON.stringify(pairs, null, 2)) : pairedLines(pairs).join('\n');
  process.stdout.write(`${text}\n`);
}

/** Writes a page on folders of results. */
export async function report(folders: readonly string[], file: string): Promise<void> {
  if (folders.length === 0)
    throw new UsageError('--report needs folders of results, or --tasks and --output');
  await replaceFile(file, await evaluationReport(folders));
  process.stdout.write(`${printableName(file)}: report on ${folders.map(printableName).join(', ')}\n`);
}

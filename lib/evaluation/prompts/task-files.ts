import { dirname, join } from 'node:path';
import { RND1Error } from '../../support/errors';
import { printableName } from '../../support/printable';
import { quote } from '../../support/validate';
import { readText } from '../data/json-lines';
import type { EvaluationDocument, FixedExamples } from '../tasks/definition';
import { functionResult } from './python-function';
import { FunctionReference, parseTaskFile, type TaskFile } from './yaml';

/**
 * Gives the text of one of the harness's task files.
 *
 * @param path its path below the harness's folder `lm_eval/tasks`, with forward slashes
 * @param version the version of the task that is asked for; undefined: the newest
 */
export type TaskFileSource = (path: string, version: number | undefined) => Promise<string>;

/** Task files of a folder or a source. */
interface TaskFiles {
  /** The path and the text of a task's file. */
  first(task: string, path: string): Promise<{ readonly path: string; readonly text: string }>;
  /** The text of another file, by a path that is relative to one of these. */
  read(path: string): Promise<string>;
}

/** Folders below the one that is given in which the task files may be: that of a checkout, of its tasks, of one task. */
const bases = ['', 'lm_eval/tasks', 'tasks'];

/** Files that include each other deeper than this include themselves. */
const includeLimit = 8;

interface Place {
  /** The task's file below the folder of all tasks. */
  readonly path: string;
  /** The template of questions that this library writes. */
  readonly question: string;
}

const bbhPrefix = 'bbh_cot_fewshot_';

function placeOf(task: string): Place | undefined {
  if (task.startsWith(bbhPrefix)) {
    const path = `bbh/cot_fewshot/${task.slice(bbhPrefix.length)}.yaml`;
    return { path, question: "Q: {{input}}\nA: Let's think step by step.\n" };
  }
  if (task === 'gsm8k_cot') return { path: 'gsm8k/gsm8k-cot.yaml', question: 'Q: {{question}}\nA:' };
  if (task !== 'mbpp') return undefined;
  const tests = [0, 1, 2].map((i) => `{{test_list[${i}]}}\n`).join('');
  return {
    path: 'mbpp/mbpp.yaml',
    question:
      'You are an expert Python programmer, and here is your task: {{text}}' +
      ` Your code should pass these tests:\n\n${tests}[BEGIN]\n`,
  };
}

/**
 * Reads the fixed examples of tasks from task files of lm-evaluation-harness.
 *
 * @param place a checkout of the harness, its folder `lm_eval/tasks`, or one that holds a task's files; or what gives them
 * @param version the version of the tasks that is asked for, for a source
 * @returns the examples by name, of those tasks that have any
 * @throws RND1Error `io` or `invalid_data` naming the file
 */
export async function readTaskFiles(
  place: string | TaskFileSource,
  tasks: readonly string[],
  version?: number,
): Promise<Readonly<Record<string, FixedExamples>>> {
  const files = typeof place === 'string' ? filesOfFolder(place) : filesOfSource(place, version);
  const found: Record<string, FixedExamples> = {};
  for (const task of tasks) {
    const own = placeOf(task);
    if (own !== undefined) found[task] = await readExamples(files, task, own);
  }
  return found;
}

const filesOfFolder = (folder: string): TaskFiles => ({
  first: (task, path) => firstText(folder, task, path),
  read: readText,
});

const filesOfSource = (source: TaskFileSource, version: number | undefined): TaskFiles => {
  const read = (path: string) => source(path.replaceAll('\\', '/'), version);
  return { read, first: async (_, path) => ({ path, text: await read(path) }) };
};

async function readExamples(files: TaskFiles, task: string, place: Place): Promise<FixedExamples> {
  const { path, text } = await files.first(task, place.path);
  const file = await withIncludes(path, parseTaskFile(path, text), files, includeLimit);
  const wrong = (what: string) => new RND1Error('invalid_data', `${printableName(path)}: ${what}`);
  if (file.task !== task) throw wrong(`task must be ${task}, not ${quote(file.task)}`);
  if (file.doc_to_text !== place.question)
    throw wrong('doc_to_text asks in another form than this library does');
  const { samples } = (file.fewshot_config ?? {}) as { samples?: unknown };
  const listed =
    samples instanceof FunctionReference ? await functionResult(path, samples.name, files.read) : samples;
  if (!Array.isArray(listed) || listed.some((item) => typeof item !== 'object' || item === null))
    throw wrong(`fewshot_config.samples must be a list of objects, not ${quote(listed)}`);
  const { version } = (file.metadata ?? {}) as { version?: unknown };
  if (version !== undefined && typeof version !== 'number')
    throw wrong(`metadata.version must be a number, not ${quote(version)}`);
  const { description = '', target_delimiter: targetDelimiter = ' ' } = file;
  if (typeof description !== 'string') throw wrong(`description must be a text, not ${quote(description)}`);
  if (typeof targetDelimiter !== 'string')
    throw wrong(`target_delimiter must be a text, not ${quote(targetDelimiter)}`);
  return {
    ...(version !== undefined && { version }),
    description,
    targetDelimiter,
    samples: listed as EvaluationDocument[],
  };
}

async function firstText(
  folder: string,
  task: string,
  path: string,
): Promise<{ path: string; text: string }> {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const candidates = [...bases.map((base) => join(folder, base, path)), join(folder, name)];
  for (const candidate of candidates) {
    try {
      return { path: candidate, text: await readText(candidate) };
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    }
  }
  throw new RND1Error('io', `${printableName(folder)} does not hold ${path}, the task file of ${task}`);
}

/** What a file includes stands for the keys that it does not have. */
async function withIncludes(
  path: string,
  file: TaskFile,
  files: TaskFiles,
  depth: number,
): Promise<TaskFile> {
  const { include, ...own } = file;
  if (include === undefined) return own;
  if (typeof include !== 'string' || depth === 0) {
    const what = depth === 0 ? 'includes itself' : `include must be a file, not ${quote(include)}`;
    throw new RND1Error('invalid_data', `${printableName(path)}: ${what}`);
  }
  const other = join(dirname(path), include);
  const included = await withIncludes(other, parseTaskFile(other, await files.read(other)), files, depth - 1);
  return { ...included, ...own };
}

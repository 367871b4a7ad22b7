import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { AppendedFile, linesOf } from '../../support/appended-file';
import { RND1Error } from '../../support/errors';
import { FileLock } from '../../support/file-lock';
import { printableName } from '../../support/printable';
import { replaceFile } from '../../support/write-files';
import type { EvaluatedTask } from './evaluate';
import type { AnsweredDocument } from './options';
import { type EvaluationConfig, type HarnessResults, harnessResults, harnessSamples } from './results';
import { samplesPath } from './samples';

/**
 * A folder of results: `config.json`, `answers.jsonl` with a line for each document as it is answered, and, at the end,
 * `results.json` and `samples_TASK.jsonl`. An evaluation that was interrupted goes on in it.
 */
export class EvaluationFolder {
  private constructor(
    private readonly path: string,
    private readonly config: EvaluationConfig,
    private readonly lock: FileLock,
    private readonly file: AppendedFile,
    /** Answers of an earlier run. */
    readonly answered: readonly AnsweredDocument[],
  ) {}

  /**
   * Opens a folder, which need not exist. A line that a crash has torn is removed.
   *
   * @param config all that answers depend on, as plain JSON
   * @throws RND1Error `io`, also while another process uses the folder; `invalid_data` if it was made with other settings
   */
  static async open(path: string, config: EvaluationConfig): Promise<EvaluationFolder> {
    await mkdir(path, { recursive: true }).catch((error: Error) => {
      throw new RND1Error('io', `cannot create ${path}: ${error.message}`, { cause: error });
    });
    const lock = await FileLock.take(path, join(path, '.lock'));
    try {
      const known = await readConfig(join(path, 'config.json'));
      if (known === null) await replaceFile(join(path, 'config.json'), jsonText(config));
      else refuseOther(path, known, config);
      const answers = join(path, 'answers.jsonl');
      const answered = await readAnswers(answers, known === null);
      const file = await AppendedFile.open(answers, { fresh: false });
      return new EvaluationFolder(path, config, lock, file, answered);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Keeps an answer. */
  async add(answer: AnsweredDocument): Promise<void> {
    await this.file.append(Buffer.from(`${JSON.stringify(answer)}\n`));
  }

  /** Writes the results of a whole evaluation. */
  async finish(evaluated: readonly EvaluatedTask[]): Promise<HarnessResults> {
    const results = harnessResults(evaluated, this.config);
    for (const task of evaluated)
      for (const name of Object.keys(task.tasks)) {
        const places = task.documents.flatMap((document, i) => (document.task === name ? [i] : []));
        const part = {
          ...task,
          requests: places.map((i) => task.requests[i]),
          documents: places.map((i) => task.documents[i]),
        } as EvaluatedTask;
        const lines = harnessSamples(part).map((sample) => `${JSON.stringify(sample)}\n`);
        await replaceFile(samplesPath(this.path, name), lines.join(''));
      }
    await replaceFile(join(this.path, 'results.json'), jsonText(results));
    return results;
  }

  /** Closes its files, and lets others use it. */
  async close(): Promise<void> {
    await this.file.close();
    await this.lock.release();
  }
}

const jsonText = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

async function readConfig(path: string): Promise<EvaluationConfig | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new RND1Error('io', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
  try {
    return JSON.parse(text) as EvaluationConfig;
  } catch (error) {
    throw new RND1Error('invalid_data', `${path} is no JSON: ${(error as Error).message}`, { cause: error });
  }
}

function refuseOther(path: string, known: EvaluationConfig, config: EvaluationConfig): void {
  const plain = JSON.parse(JSON.stringify(config)) as EvaluationConfig;
  const names = [...new Set([...Object.keys(known), ...Object.keys(plain)])];
  const changed = names.filter((name) => !isDeepStrictEqual(known[name], plain[name]));
  if (changed.length === 0) return;
  const shown = (value: unknown) => (value === undefined ? 'not given' : JSON.stringify(value));
  const changes = changed.map((name) => `${name} was ${shown(known[name])} and is ${shown(plain[name])}`);
  throw new RND1Error(
    'invalid_data',
    `${printableName(path)} holds results of other settings: ${changes.join('; ')}. Another folder is needed`,
  );
}

async function readAnswers(path: string, fresh: boolean): Promise<AnsweredDocument[]> {
  const answers: AnsweredDocument[] = [];
  let whole = '';
  let torn = false;
  try {
    for await (const line of linesOf(path)) {
      if (!line.whole) {
        torn = true;
        continue;
      }
      answers.push(parseAnswer(line.text, path, answers.length + 1));
      whole += `${line.text}\n`;
    }
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  if (fresh && (answers.length > 0 || torn))
    throw new RND1Error('invalid_data', `${printableName(path)} is there, but no config.json beside it`);
  if (torn) await replaceFile(path, whole);
  return answers;
}

const isMissing = (error: unknown) =>
  error instanceof RND1Error && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';

function parseAnswer(line: string, path: string, number: number): AnsweredDocument {
  try {
    const value = JSON.parse(line) as AnsweredDocument;
    if (typeof value.task !== 'string' || !Number.isSafeInteger(value.docId) || value.output === undefined)
      throw new TypeError('it is no answer');
    return value;
  } catch (error) {
    throw new RND1Error(
      'invalid_data',
      `${printableName(path)}, line ${number}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

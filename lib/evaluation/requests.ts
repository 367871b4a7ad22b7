import { isDeepStrictEqual } from 'node:util';
import type { Template } from '../index';
import { RND1Error } from '../support/errors';
import { integerOption, numberOption, optionsObject, quote } from '../support/validate';
import { type DataSource, openData, readSplit } from './data/data';
import { drawFewShots } from './few-shots';
import { readTaskFiles, type TaskFileSource } from './prompts/task-files';
import { renderedTarget, targetText } from './tasks/columns';
import type { EvaluationDocument, FixedExamples, Target, TaskDefinition } from './tasks/definition';
import { namedTasks, taskNamed } from './tasks/table';

/** Seed of the draws of examples unless another is asked for: the harness's. */
const defaultSeed = 1234;

/** Options of `buildRequests`. */
export interface BuildRequestsOptions {
  /**
   * The data sets: a folder that holds them, each as on the hub (`openai/gsm8k/main/test.jsonl`; `docs/evaluation.md`
   * lists the names and formats that are read), or a function that returns the documents of a split. The tasks of the
   * embedded model need none.
   */
  readonly data?: string | DataSource;
  /**
   * Fixed examples, which BBH, gsm8k_cot and MBPP need: a folder of the harness's task files, a function that returns
   * their texts, or the examples by the name of the task.
   */
  readonly prompts?: string | TaskFileSource | Readonly<Record<string, FixedExamples>>;
  /** Examples before each question. @default the task's own number */
  readonly shots?: number;
  /** Seed of the draws of examples. @default 1234 */
  readonly seed?: number | bigint;
  /** The first documents of each task: a number, or a share below 1, which is rounded up. @default all */
  readonly limit?: number;
  /**
   * Number of processes among which a harness would have dealt out the documents: it changes the drawn examples.
   *
   * @default 1
   */
  readonly worldSize?: number;
  /** Version of the task. @default the newest, or the one of the task files */
  readonly version?: number;
}

const optionNames = {
  data: true,
  prompts: true,
  shots: true,
  seed: true,
  limit: true,
  worldSize: true,
  version: true,
} as const;

/** A document as it is put to a model. */
export interface EvaluationRequest {
  /** Name of the task; a group's documents have those of its tasks. */
  readonly task: string;
  /** Version of the task. */
  readonly version: number;
  /** Number of examples in the context. */
  readonly shots: number;
  /** Place of the document in its split, from 0. */
  readonly docId: number;
  /** The document's columns. */
  readonly document: EvaluationDocument;
  /** All text before the answer. */
  readonly context: string;
  /** For tasks with choices: the texts whose likelihoods after the context are compared, delimiter included. */
  readonly continuations?: readonly string[];
  /** For tasks with written answers: the answer ends before the first of these. */
  readonly until?: readonly string[];
  /** The answer is a program, which is run with `reference` behind it. */
  readonly program?: true;
  /** For tasks with holes: the text with its holes. */
  readonly template?: Template;
  /** The index of the right choice, or the right answer as the harness reads it; null for tasks with holes. */
  readonly target: Target;
  /** For tasks with written answers: the text that the answer is compared with. */
  readonly reference?: string;
  /** Indices of the examples in their pool, in the order of the prompt. */
  readonly fewshotIndices: readonly number[];
  /** Documents in the whole split. */
  readonly available: number;
}

/**
 * The documents of a task or a group of tasks with their prompts, byte for byte those of lm-evaluation-harness.
 *
 * @param task a name (`mmlu`, `mmlu_anatomy`, `arc_challenge`, `race`, `race-v2`, `bbh`, `bbh-v3`, `gsm8k`, `gsm8k_cot`,
 *   `mbpp`, `nano`), or a task of your own
 * @returns the requests, task by task in the order of the group, documents in the order of the data
 * @throws RND1Error `io` for files that cannot be read, `invalid_data` for data or task files that are not as they must
 *   be, naming the file and line; RangeError or TypeError for wrong options
 */
export async function buildRequests(
  task: string | TaskDefinition,
  options: BuildRequestsOptions = {},
): Promise<EvaluationRequest[]> {
  const { prompts, version, ...given } = optionsObject('options', options, optionNames);
  const settings = readSettings(given);
  const data = openData(given.data);
  const requests: EvaluationRequest[] = [];
  for (const definition of await definitionsOf(task, settings.shots, version, prompts))
    requests.push(...(await requestsOf(definition, data, settings)));
  return requests;
}

async function definitionsOf(
  task: string | TaskDefinition,
  shots: number | undefined,
  version: number | undefined,
  prompts: BuildRequestsOptions['prompts'],
): Promise<TaskDefinition[]> {
  if (typeof task !== 'string') return [task];
  const named = namedTasks(task, version);
  const files =
    typeof prompts === 'object' || prompts === undefined
      ? (prompts ?? {})
      : await readTaskFiles(prompts, named.tasks, named.version);
  return named.tasks.map((name) => taskNamed(name, { version: named.version, shots, examples: files[name] }));
}

interface Settings {
  readonly shots: number | undefined;
  readonly seed: number | bigint;
  readonly limit: number;
  readonly worldSize: number;
}

function readSettings(options: Omit<BuildRequestsOptions, 'prompts' | 'version'>): Settings {
  const { shots, seed = defaultSeed, limit = Infinity, worldSize = 1 } = options;
  if (limit !== Infinity) {
    numberOption('limit', limit, 0);
    if (limit === 0 || (limit > 1 && !Number.isInteger(limit)))
      throw new RangeError(`limit must be a positive integer, or a share below 1, not ${quote(limit)}`);
  }
  return {
    shots: shots === undefined ? undefined : integerOption('shots', shots, 0),
    seed: typeof seed === 'bigint' ? seed : integerOption('seed', seed, Number.MIN_SAFE_INTEGER),
    limit,
    worldSize: integerOption('worldSize', worldSize, 1),
  };
}

async function requestsOf(
  task: TaskDefinition,
  data: DataSource,
  settings: Settings,
): Promise<EvaluationRequest[]> {
  const documents = await readSplit(data, task.documents);
  const { shots = task.shots, seed, worldSize } = settings;
  const pool = await poolOf(task, data, shots);
  const limit = settings.limit < 1 ? Math.ceil(documents.length * settings.limit) : settings.limit;
  const type = task.examples.type === 'drawn' ? 'drawn' : 'first';
  const dropItself = task.examples.type === 'drawn' && task.examples.dropItself === true;
  const draws = drawFewShots({ type, pool: pool.length, shots, seed, worldSize });
  const examples = new Map<number, string>();
  const example = (index: number) => {
    const known = examples.get(index) ?? exampleText(task, pool[index] as EvaluationDocument, index);
    examples.set(index, known);
    return known;
  };
  return documents.slice(0, limit).map((document, docId) => {
    const drawn = draws.next().value;
    const fewshotIndices = dropItself
      ? drawn.filter((index) => !isDeepStrictEqual(pool[index], document))
      : drawn;
    const make = () => ({
      context: task.description + fewshotIndices.map(example).join('') + task.question(document),
      ...answerOf(task, document),
    });
    return {
      task: task.name,
      version: task.version,
      shots,
      docId,
      document,
      ...naming(`document ${docId} of ${task.name}`, make),
      fewshotIndices,
      available: documents.length,
    };
  });
}

function answerOf(task: TaskDefinition, document: EvaluationDocument) {
  if (task.kind === 'choice') {
    const continuations = task.choices(document).map((choice) => task.targetDelimiter + choice);
    return { continuations, target: task.target(document) };
  }
  if (task.kind === 'fill') return { template: task.template(document), target: null };
  const text = task.target(document);
  const program = task.metric.name === 'pass_at_1' ? ({ program: true } as const) : {};
  return { until: task.until, target: renderedTarget(text), reference: targetText(text), ...program };
}

/** An example with its answer. One without an answer is a question that nothing separates from the next. */
function exampleText(task: TaskDefinition, document: EvaluationDocument, index: number): string {
  return naming(`example ${index} of ${task.name}`, () => {
    const answer = task.exampleAnswer(document);
    return task.question(document) + (answer === '' ? '' : `${task.targetDelimiter}${answer}\n\n`);
  });
}

async function poolOf({ examples }: TaskDefinition, data: DataSource, shots: number) {
  if (examples.type === 'fixed') return examples.examples.samples;
  return shots === 0 ? [] : readSplit(data, examples.from);
}

/** Puts the document's name in front of what is wrong with it. */
function naming<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RND1Error) || error.code !== 'invalid_data') throw error;
    throw new RND1Error('invalid_data', `${what}: ${error.message}`);
  }
}

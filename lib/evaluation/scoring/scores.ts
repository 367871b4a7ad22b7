import { RND1Error } from '../../support/errors';
import { quote } from '../../support/validate';
import { codePoints } from '../python/text';
import type { EvaluationRequest } from '../requests';
import type { ChoiceTask, FillTask, GenerationTask, Target, TaskDefinition } from '../tasks/definition';
import { namedTasks, scoringOf, type TaskGroup, taskGroups } from '../tasks/table';
import { type Estimate, estimateMean, pooledMean } from './aggregates';
import { applyFilter, cutAtStops } from './filters';
import { exactMatch, indexOfHighest } from './metrics';

/** A program as an answer. */
export interface ProgramOutput {
  /** The program, and what else was written. */
  readonly text: string;
  /** Whether it passed its tests. */
  readonly passed?: boolean;
}

/** A written answer: its text, and for programs whether it passed its tests. */
export type EvaluationOutput = string | ProgramOutput;

/** An answer as a filter read it. */
export interface FilteredAnswer {
  /** The answer; undefined for a choice. */
  readonly filtered?: string;
  /** Scores by the name of the metric, `acc` or `exact_match` for example. */
  readonly scores: Readonly<Record<string, number>>;
}

/** The score of one document. */
export interface ScoredDocument {
  /** Name of the task. */
  readonly task: string;
  /** Place of the document in its split, from 0. */
  readonly docId: number;
  /** The right answer, as in the request. */
  readonly target: Target;
  /** The likelihoods of the choices, as they were given. */
  readonly likelihoods?: readonly number[];
  /** The written answer, as it was given. */
  readonly raw?: string;
  /** The part of the answer before the first stop. */
  readonly afterStops?: string;
  /** By the name of the filter; choices have one, `none`. */
  readonly filters: Readonly<Record<string, FilteredAnswer>>;
}

/** Scores of a task or a group. */
export interface TaskScores {
  /** Name in tables. */
  readonly alias: string;
  /** Version of the task or group. */
  readonly version: number;
  /** Number of examples in each prompt; null for a group whose tasks differ. */
  readonly shots: number | null;
  /** Documents that were scored. */
  readonly samples: number;
  /** Documents that the data have. */
  readonly available: number;
  /** By metric and filter: `acc,none` or `exact_match,strict-match`. */
  readonly metrics: Readonly<Record<string, Estimate>>;
}

/** Scores of a group. */
export interface GroupScores extends TaskScores {
  /** Names of its groups or tasks. */
  readonly members: readonly string[];
}

/** What `scoreOutputs` returns. */
export interface EvaluationScores {
  /** In the order of the requests. */
  readonly documents: readonly ScoredDocument[];
  /** By the name of the task. */
  readonly tasks: Readonly<Record<string, TaskScores>>;
  /** The groups that the task's name stands for, those inside first. */
  readonly groups: Readonly<Record<string, GroupScores>>;
}

/**
 * Scores answers as lm-evaluation-harness does, to the last digit.
 *
 * @param task as given to `buildRequests`
 * @param documents what it returned, or some of it
 * @param outputs for every document its written answer, or the log-likelihoods of its choices, in nats
 * @throws TypeError or RangeError for outputs that do not fit the documents; RND1Error `invalid_data` for programs that
 *   were not run
 */
export function scoreOutputs(
  task: string | TaskDefinition,
  documents: readonly EvaluationRequest[],
  outputs: readonly (EvaluationOutput | readonly number[])[],
): EvaluationScores {
  if (documents.length !== outputs.length)
    throw new RangeError(`there are ${documents.length} documents, but ${outputs.length} outputs`);
  const named = typeof task === 'string' ? namedTasks(task) : undefined;
  const definitions = new Map<string, TaskDefinition>(
    typeof task === 'string'
      ? (named?.tasks ?? []).map((name) => [name, scoringOf(name)])
      : [[task.name, task]],
  );
  const scored = documents.map((request, i) => {
    const definition = definitions.get(request.task);
    if (definition === undefined)
      throw new RangeError(
        `documents[${i}] is of the task ${quote(request.task)}, not of ${quote(named?.name)}`,
      );
    return scoreDocument(definition, request, outputs[i] as EvaluationOutput | readonly number[]);
  });
  const tasks: Record<string, TaskScores> = {};
  for (const [name, definition] of definitions) {
    const indices = documents.flatMap((request, i) => (request.task === name ? [i] : []));
    const [first] = indices;
    if (first === undefined) continue;
    const request = documents[first] as EvaluationRequest;
    tasks[name] = {
      alias: definition.alias ?? name,
      version: request.version,
      shots: request.shots,
      samples: indices.length,
      available: request.available,
      metrics: meansOf(indices.map((i) => scored[i] as ScoredDocument)),
    };
  }
  return { documents: scored, tasks, groups: groupScores(named?.group, tasks) };
}

function scoreDocument(
  task: TaskDefinition,
  request: EvaluationRequest,
  output: EvaluationOutput | readonly number[],
): ScoredDocument {
  const { docId, target } = request;
  const common = { task: task.name, docId, target };
  if (task.kind === 'choice') return { ...common, ...scoreChoices(task, request, output) };
  if (task.kind === 'fill') return { ...common, ...scoreFilled(task, request, output) };
  return { ...common, ...scoreText(task, request, output) };
}

function scoreChoices(
  task: ChoiceTask,
  request: EvaluationRequest,
  output: EvaluationOutput | readonly number[],
) {
  const { continuations = [], target, docId } = request;
  const delimiter = task.targetDelimiter.length;
  if (!Array.isArray(output) || output.some((value) => typeof value !== 'number'))
    throw new TypeError(`document ${docId} needs likelihoods of its choices, not ${quote(output)}`);
  if (output.length !== continuations.length)
    throw new RangeError(`document ${docId} has ${continuations.length} choices, not ${output.length}`);
  const likelihoods: readonly number[] = output;
  const perCharacter = likelihoods.map(
    (value, i) => value / codePoints((continuations[i] as string).slice(delimiter)),
  );
  const all = {
    acc: Number(indexOfHighest(likelihoods) === target),
    acc_norm: Number(indexOfHighest(perCharacter) === target),
  };
  const scores = Object.fromEntries(task.metrics.map((name) => [name, all[name]]));
  return { likelihoods, filters: { none: { scores } } };
}

function scoreFilled(
  task: FillTask,
  { document, docId }: EvaluationRequest,
  output: EvaluationOutput | readonly number[],
) {
  const raw = textOf(output, docId);
  return {
    raw,
    filters: { none: { filtered: raw, scores: { exact_match: Number(task.isRight(document, raw)) } } },
  };
}

function textOf(output: EvaluationOutput | readonly number[], docId: number): string {
  const text = typeof output === 'string' ? output : (output as ProgramOutput)?.text;
  if (typeof text !== 'string')
    throw new TypeError(`document ${docId} needs the text of an answer, not ${quote(output)}`);
  return text;
}

function scoreText(
  task: GenerationTask,
  request: EvaluationRequest,
  output: EvaluationOutput | readonly number[],
) {
  const { reference = '', docId } = request;
  const text = textOf(output, docId);
  const afterStops = cutAtStops(text, task.until);
  const score = (filtered: string) => {
    if (task.metric.name === 'exact_match') return exactMatch(task.metric, filtered, reference);
    const passed = (output as ProgramOutput).passed;
    if (passed === undefined)
      throw new RND1Error('invalid_data', `document ${docId} of ${task.name} is a program that was not run`);
    return Number(passed);
  };
  const filters = Object.fromEntries(
    task.filters.map((filter) => {
      const filtered = applyFilter(filter, afterStops);
      return [filter.name, { filtered, scores: { [task.metric.name]: score(filtered) } }];
    }),
  );
  return { raw: text, afterStops, filters };
}

/** The means of every metric with every filter. */
function meansOf(documents: readonly ScoredDocument[]): Record<string, Estimate> {
  const scores = new Map<string, number[]>();
  for (const { filters } of documents) {
    for (const [filter, answer] of Object.entries(filters)) {
      for (const [metric, score] of Object.entries(answer.scores)) {
        const key = `${metric},${filter}`;
        const values = scores.get(key) ?? [];
        values.push(score);
        scores.set(key, values);
      }
    }
  }
  return Object.fromEntries([...scores].map(([key, values]) => [key, estimateMean(values)]));
}

/** The scores of a group and of those inside it, as far as their tasks were scored. */
function groupScores(
  group: TaskGroup | undefined,
  tasks: Readonly<Record<string, TaskScores>>,
): Record<string, GroupScores> {
  const groups: Record<string, GroupScores> = {};
  for (const name of [...(group?.members ?? []), group?.name ?? '']) {
    const each = name === group?.name ? group : taskGroups.get(name);
    const parts = (each?.tasks ?? []).flatMap((task) => tasks[task] ?? []);
    if (each === undefined || parts.length === 0) continue;
    const shots = parts[0]?.shots ?? null;
    const keys = Object.keys(parts[0]?.metrics ?? {});
    groups[name] = {
      alias: each.alias,
      version: each.version,
      shots: parts.every((part) => part.shots === shots) ? shots : null,
      samples: total(parts.map((part) => part.samples)),
      available: total(parts.map((part) => part.available)),
      metrics: Object.fromEntries(
        keys.map((key) => [key, pooledMean(parts.map((part) => part.metrics[key] as Estimate))]),
      ),
      members: each.members,
    };
  }
  return groups;
}

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

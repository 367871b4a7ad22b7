import type { EvaluationRequest } from '../requests';
import type { Estimate } from '../scoring/aggregates';
import type { ScoredDocument, TaskScores } from '../scoring/scores';
import { costsOf, type EvaluationCosts } from './costs';
import type { EvaluatedTask } from './evaluate';

/** What describes a run in its results: the model and all settings, in the caller's words. */
export type EvaluationConfig = Readonly<Record<string, unknown>>;

/** Documents of a task. */
export interface HarnessSampleCounts {
  /** Those that the data have. */
  readonly original: number;
  /** Those that were scored. */
  readonly effective: number;
}

/** Results in the shape of lm-evaluation-harness's `results.json`, with what is ours under `rnd1`. */
export interface HarnessResults {
  /** By task and by group: `alias`, `sample_len`, then `METRIC,FILTER` and `METRIC_stderr,FILTER`. */
  readonly results: Readonly<Record<string, Readonly<Record<string, string | number>>>>;
  /** The same of groups alone. */
  readonly groups: Readonly<Record<string, Readonly<Record<string, string | number>>>>;
  /** Members of groups. */
  readonly group_subtasks: Readonly<Record<string, readonly string[]>>;
  /** Versions of tasks. */
  readonly versions: Readonly<Record<string, number>>;
  /** Examples in each prompt. */
  readonly 'n-shot': Readonly<Record<string, number>>;
  /** Whether more is better, by task and metric. */
  readonly higher_is_better: Readonly<Record<string, Readonly<Record<string, boolean>>>>;
  /** Documents that the data have, and that were scored. */
  readonly 'n-samples': Readonly<Record<string, HarnessSampleCounts>>;
  /** Model and settings. */
  readonly config: EvaluationConfig;
  /** Seconds since 1970. */
  readonly date: number;
  /** What the harness does not have. */
  readonly rnd1: {
    /** By task and by group. */
    readonly costs: Readonly<Record<string, EvaluationCosts>>;
  };
}

/** What `evaluate` returned, as the harness writes it. */
export function harnessResults(
  evaluated: readonly EvaluatedTask[],
  config: EvaluationConfig,
  date = new Date(),
): HarnessResults {
  const tasks = Object.assign({}, ...evaluated.map((each) => each.tasks)) as Record<string, TaskScores>;
  const groups = Object.assign({}, ...evaluated.map((each) => each.groups)) as EvaluatedTask['groups'];
  const answers = evaluated.flatMap((each) => each.answers);
  const costs = (names: readonly string[]) => costsOf(answers.filter(({ task }) => names.includes(task)));
  const metricsOf = ({ metrics }: TaskScores) => [
    ...new Set(Object.keys(metrics).map((key) => key.split(',')[0] as string)),
  ];
  return {
    results: { ...mapped(groups, resultOf), ...mapped(tasks, resultOf) },
    groups: mapped(groups, resultOf),
    group_subtasks: mapped(groups, ({ members }) => members),
    versions: mapped(tasks, ({ version }) => version),
    'n-shot': mapped(tasks, ({ shots }) => shots ?? 0),
    higher_is_better: mapped(tasks, (task) =>
      Object.fromEntries(metricsOf(task).map((metric) => [metric, true])),
    ),
    'n-samples': mapped(tasks, ({ available, samples }) => ({ original: available, effective: samples })),
    config,
    date: date.getTime() / 1000,
    rnd1: {
      costs: {
        ...Object.fromEntries(
          evaluated.flatMap((each) =>
            each.name in groups ? [[each.name, costs(Object.keys(each.tasks))] as const] : [],
          ),
        ),
        ...mapped(tasks, (_, name) => costs([name])),
      },
    },
  };
}

/** One line of the harness's `samples_TASK.jsonl` for each filter of each document. */
export function harnessSamples({ requests, documents }: EvaluatedTask): Record<string, unknown>[] {
  return documents.flatMap((scored, i) => {
    const request = requests[i] as EvaluationRequest;
    return Object.entries(scored.filters).map(([filter, { filtered, scores }]) => ({
      doc_id: scored.docId,
      doc: request.document,
      target: scored.target ?? request.reference ?? null,
      arguments: argumentsOf(request),
      resps: responsesOf(scored),
      filtered_resps: filtered === undefined ? responsesOf(scored).map(([each]) => each) : [filtered],
      filter,
      metrics: Object.keys(scores),
      ...scores,
    }));
  });
}

function argumentsOf(request: EvaluationRequest) {
  return Object.fromEntries(askedOf(request).map((value, i) => [`gen_args_${i}`, value]));
}

function askedOf({ context, continuations, until, template }: EvaluationRequest): object[] {
  if (continuations !== undefined) return continuations.map((each) => ({ arg_0: context, arg_1: each }));
  if (template !== undefined) return [{ arg_0: template }];
  return [{ arg_0: context, arg_1: { until } }];
}

/** Of choices their likelihoods, with false for the greedy check that is not made. */
const responsesOf = ({ likelihoods, raw }: ScoredDocument): unknown[][] =>
  likelihoods === undefined ? [[raw]] : likelihoods.map((value) => [[value, false]]);

function resultOf({ alias, samples, metrics }: TaskScores): Record<string, string | number> {
  const entries = Object.entries(metrics).flatMap(([key, estimate]) => entriesOf(key, estimate));
  return { alias, sample_len: samples, ...Object.fromEntries(entries) };
}

function entriesOf(key: string, { value, standardError }: Estimate): [string, string | number][] {
  const [metric, filter] = key.split(',');
  return [
    [key, value],
    [`${metric}_stderr,${filter}`, standardError ?? 'N/A'],
  ];
}

const mapped = <T, R>(values: Readonly<Record<string, T>>, to: (value: T, name: string) => R) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, to(value, name)]));

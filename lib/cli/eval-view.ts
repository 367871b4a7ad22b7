import type { EvaluatedTask, EvaluationProgress, HarnessResults, PairedScores } from '../evaluation';
import { formatTime } from './download-view';
import { ProgressLine } from './progress';
import { bar, type Terminal } from './render';
import { table } from './report';

/** The progress of an evaluation in a terminal: documents, time left. */
export class EvalBar {
  readonly #line: ProgressLine;
  #start: number | null = null;

  constructor(
    terminal: Terminal,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#line = new ProgressLine(terminal, now);
  }

  /** Callback for `onProgress`. */
  readonly update = (progress: EvaluationProgress): void => {
    this.#start ??= this.now();
    const time = (this.now() - this.#start) / 1000;
    this.#line.show(() => evalLine(progress, time));
  };

  /** Clears the line. */
  close(): void {
    this.#line.close();
  }
}

/** `████░░░░ 120/200 documents, 1:20 left`, `seconds` after this run began. */
export function evalLine({ done, total, known }: EvaluationProgress, seconds: number): string {
  const answered = done - known;
  return [
    `${bar(total === 0 ? 1 : done / total, 24)} ${done}/${total} documents`,
    ...(answered > 0 && seconds > 0 ? [`${formatTime(((total - done) * seconds) / answered)} left`] : []),
  ].join(', ');
}

const header = ['task', 'version', 'shots', 'metric', 'filter', 'value', '±', 'documents', 'tokens/pass'];

/** A table of all groups and tasks, in the order in which they were asked for. */
export function resultLines(evaluated: readonly EvaluatedTask[], { rnd1 }: HarnessResults): string[] {
  const rows = evaluated.flatMap(({ tasks, groups }) =>
    [...Object.entries(groups).reverse(), ...Object.entries(tasks)].flatMap(([name, scores]) =>
      Object.entries(scores.metrics).map(([key, { value, standardError }]) => {
        const [metric = '', filter = ''] = key.split(',');
        const perPass = rnd1.costs[name]?.tokensPerPass ?? null;
        return [
          name,
          String(scores.version),
          scores.shots === null ? '–' : String(scores.shots),
          metric,
          filter,
          percent(value),
          standardError === null ? '–' : percent(standardError),
          scores.samples === scores.available
            ? String(scores.samples)
            : `${scores.samples} of ${scores.available}`,
          perPass === null ? '–' : perPass.toFixed(2),
        ];
      }),
    ),
  );
  return table([header, ...rows], [1, 2, 5, 6, 7, 8], '  ');
}

const percent = (value: number) => `${(100 * value).toFixed(1)} %`;

const pairedHeader = [
  'task',
  'metric',
  'filter',
  'documents',
  'A',
  'B',
  'B − A',
  '±',
  'better',
  'worse',
  'p',
];

/** A table of two results, and what weakens the comparison. */
export function pairedLines(pairs: readonly PairedScores[]): string[] {
  const rows = pairs.map((pair) => [
    pair.task,
    pair.metric,
    pair.filter,
    String(pair.documents),
    percent(pair.first),
    percent(pair.second),
    `${pair.difference < 0 ? '−' : '+'}${percent(Math.abs(pair.difference))}`,
    pair.standardError === null ? '–' : percent(pair.standardError),
    String(pair.better),
    String(pair.worse),
    pair.probability < 0.001 ? '< 0.001' : pair.probability.toFixed(3),
  ]);
  const named = (which: (pair: PairedScores) => boolean) => [
    ...new Set(pairs.filter(which).map(({ task }) => task)),
  ];
  const notes = [
    [named(({ unpaired }) => unpaired > 0), 'documents that only one has are left out'],
    [named(({ promptsDiffer }) => promptsDiffer), 'the prompts differ'],
  ] as const;
  return [
    ...table([pairedHeader, ...rows], [3, 4, 5, 6, 7, 8, 9, 10], '  '),
    ...notes.flatMap(([tasks, note]) => (tasks.length === 0 ? [] : [`${tasks.join(', ')}: ${note}`])),
  ];
}

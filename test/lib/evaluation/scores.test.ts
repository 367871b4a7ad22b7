import { join } from 'node:path';
import {
  buildRequests,
  type EvaluationOutput,
  type EvaluationScores,
  type FixedExamples,
  harnessResults,
  scoreOutputs,
} from '../../../lib/evaluation';
import { goldenFolders, jsonFiles, numberOf, readJson } from '../../support/evaluation';

interface GoldenScore {
  readonly doc_id: number;
  readonly target: unknown;
  readonly ll?: readonly (number | string)[];
  readonly acc?: number;
  readonly acc_norm?: number;
  readonly raw?: string;
  readonly after_stops?: string;
  readonly filters?: Readonly<Record<string, Readonly<Record<string, string | number>>>>;
}

interface Aggregates {
  readonly [metric: string]: unknown;
}

interface ScoreGolden {
  readonly runs: readonly {
    readonly docs: Readonly<Record<string, readonly GoldenScore[]>>;
    readonly results: Readonly<Record<string, Aggregates>>;
    readonly groups: Readonly<Record<string, Aggregates>>;
    readonly group_subtasks: Readonly<Record<string, readonly string[]>>;
    readonly versions: Readonly<Record<string, number | string>>;
    readonly n_samples: Readonly<Record<string, { original: number; effective: number }>>;
  }[];
}

/** BBH's parts are not this project's, but scores do not depend on examples. */
const anyExamples = new Proxy<Record<string, FixedExamples>>({}, { get: () => ({ samples: [] }) });

function outputOf({ ll, raw, filters }: GoldenScore): EvaluationOutput | number[] {
  if (ll !== undefined) return ll.map(numberOf);
  const { pass_at_1: passed } = filters?.none ?? {};
  return passed === undefined ? (raw as string) : { text: raw as string, passed: passed === 1 };
}

const documentsOf = ({ documents }: EvaluationScores, wanted: string) =>
  documents
    .filter(({ task }) => task === wanted)
    .map(({ docId, target, likelihoods, raw, afterStops, filters }) => {
      if (likelihoods !== undefined) return { doc_id: docId, target, ...filters.none?.scores };
      const read = Object.entries(filters).map(([name, { filtered, scores }]) => [
        name,
        { filtered, ...scores },
      ]);
      return { doc_id: docId, target, raw, after_stops: afterStops, filters: Object.fromEntries(read) };
    });

describe.each(goldenFolders())('scores: $name', ({ folder }) => {
  const golden = join(folder, 'golden');

  it.each(jsonFiles(golden, 'score-'))('%s', async (file) => {
    const task = file.slice('score-'.length, -'.json'.length);
    const { runs } = readJson<ScoreGolden>(join(golden, file));
    expect(runs.length).toBeGreaterThan(1);
    const documents = await buildRequests(task, {
      data: join(folder, 'docs'),
      prompts: anyExamples,
      shots: 0,
    });
    for (const run of runs) {
      const outputs = documents.map(({ task: name, docId }) =>
        outputOf(run.docs[name]?.[docId] as GoldenScore),
      );
      const scores = scoreOutputs(task, documents, outputs);
      for (const [name, expected] of Object.entries(run.docs)) {
        const plain = expected.map(
          ({ ll: _, is_greedy: __, ...rest }: GoldenScore & { is_greedy?: unknown }) => rest,
        );
        expect(documentsOf(scores, name)).toEqual(plain);
      }
      const written = harnessResults([{ name: task, requests: documents, answers: [], ...scores }], {});
      const groups = Object.entries(run.groups).map(([name, { sample_count: _, ...rest }]) => [name, rest]);
      expect(written.groups).toEqual(Object.fromEntries(groups));
      expect(written.results).toEqual({ ...run.results, ...Object.fromEntries(groups) });
      expect(written.group_subtasks).toMatchObject(run.group_subtasks);
      expect(written['n-samples']).toMatchObject(run.n_samples);
    }
  });
});

import { join } from 'node:path';
import { buildRequests, type EvaluationRequest } from '../../../lib/evaluation';
import { goldenFolders, jsonFiles, readJson } from '../../support/evaluation';

interface GoldenDocument {
  readonly doc_id: number;
  readonly context: string;
  readonly continuations?: readonly string[];
  readonly gen_kwargs?: { readonly until: readonly string[] };
  readonly target: unknown;
  readonly fewshot_indices?: readonly number[];
}

interface GoldenTask {
  readonly version: number;
  readonly n_shot: number;
  readonly docs: readonly GoldenDocument[];
}

interface ContextGolden {
  readonly task_arg: readonly string[];
  readonly num_fewshot_arg: number | null;
  readonly fewshot_seed: number;
  readonly limit: number | null;
  readonly tasks: Readonly<Record<string, GoldenTask>>;
}

const asGolden = ({ docId, context, continuations, until, target, fewshotIndices }: EvaluationRequest) => ({
  doc_id: docId,
  context,
  ...(continuations && { continuations }),
  ...(until && { until }),
  target,
  ...(fewshotIndices.length > 0 && { fewshot_indices: fewshotIndices }),
});

const expected = ({ gen_kwargs: settings, ...document }: GoldenDocument) => ({
  ...document,
  ...(settings && { until: settings.until }),
});

const byTask = (requests: readonly EvaluationRequest[]) =>
  Object.fromEntries(
    [...new Set(requests.map(({ task }) => task))].map((name) => {
      const documents = requests.filter(({ task }) => task === name);
      const { version, shots } = documents[0] as EvaluationRequest;
      return [name, { version, n_shot: shots, docs: documents.map(asGolden) }];
    }),
  );

describe.each(goldenFolders())('prompts: $name', ({ folder, prompts }) => {
  const golden = join(folder, 'golden');
  const files = jsonFiles(golden, 'context-').filter((name) => !/v048|ranks/.test(name));

  it.each(files)('%s', async (name) => {
    const { task_arg, num_fewshot_arg, fewshot_seed, limit, tasks } = readJson<ContextGolden>(
      join(golden, name),
    );
    const requests: EvaluationRequest[] = [];
    for (const task of task_arg) {
      requests.push(
        ...(await buildRequests(task, {
          data: join(folder, 'docs'),
          prompts: prompts(4),
          seed: fewshot_seed,
          ...(num_fewshot_arg !== null && { shots: num_fewshot_arg }),
          ...(limit !== null && { limit }),
        })),
      );
    }
    const wanted = Object.entries(tasks).map(([task, { docs, version, n_shot }]) => [
      task,
      { version, n_shot, docs: docs.map(expected) },
    ]);
    expect(byTask(requests)).toEqual(Object.fromEntries(wanted));
  });

  it.each(jsonFiles(golden, 'context-v048'))('%s: the versions of release 0.4.8', async (name) => {
    const { tasks } = readJson<{ tasks: Record<string, GoldenTask> }>(join(golden, name));
    for (const [key, { docs, version, n_shot }] of Object.entries(tasks)) {
      const task = key.slice(0, key.lastIndexOf('-'));
      const requests = await buildRequests(task, {
        data: join(folder, 'docs'),
        prompts: prompts(3),
        shots: n_shot,
        version,
      });
      const { docs: made } = byTask(requests)[task] as { docs: object[] };
      const own = made.map(({ fewshot_indices: _, ...document }: { fewshot_indices?: unknown }) => document);
      expect(own).toEqual(docs.map(expected));
    }
  });

  it('gsm8k over several processes', async () => {
    const { task, num_fewshot, seed, runs } = readJson<{
      task: string;
      num_fewshot: number;
      seed: number;
      runs: { world_size: number; docs: { doc_id: number; fewshot_indices: number[] }[] }[];
    }>(join(golden, 'context-gsm8k-ranks.json'));
    expect(runs.length).toBeGreaterThan(1);
    for (const { world_size: worldSize, docs } of runs) {
      const data = join(folder, 'docs');
      const requests = await buildRequests(task, { data, shots: num_fewshot, seed, worldSize });
      const indices = new Map(requests.map(({ docId, fewshotIndices }) => [docId, fewshotIndices]));
      expect(requests).toHaveLength(docs.length);
      for (const { doc_id, fewshot_indices } of docs) expect(indices.get(doc_id)).toEqual(fewshot_indices);
    }
  });
});

import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ioError } from '../../checkpoint/files';
import { linesOf } from '../../support/appended-file';
import { RND1Error } from '../../support/errors';
import { metricsName } from './metrics-file';

/** A number that a run reported. */
export interface MetricsPoint {
  readonly step: number;
  readonly tokens: number;
  readonly value: number;
}

/** Some numbers of a run, by the names of metrics.jsonl, in order. */
export interface RunMetrics {
  /** The run's folder, as short as tells it from the others. */
  readonly name: string;
  readonly path: string;
  readonly points: Readonly<Record<string, readonly MetricsPoint[]>>;
}

/**
 * Reads numbers of runs: of folders with a metrics.jsonl, or of such files. A last line that is being written is ignored.
 *
 * @throws RND1Error `io` if there is no such file; `invalid_data` if it is not that of a run
 */
export async function readRuns(runs: readonly string[], fields: readonly string[]): Promise<RunMetrics[]> {
  const paths = await Promise.all(runs.map(metricsPath));
  const names = namesOf(paths.map(({ folder }) => folder));
  return Promise.all(
    paths.map(async ({ path }, i) => ({
      name: names[i] as string,
      path,
      points: await readPoints(path, fields),
    })),
  );
}

async function readPoints(path: string, fields: readonly string[]): Promise<RunMetrics['points']> {
  const points = Object.fromEntries(fields.map((field) => [field, [] as MetricsPoint[]]));
  let number = 0;
  for await (const { text, whole } of linesOf(path)) {
    number++;
    const line = parsed(text);
    if (line === null && !whole) break;
    if (line === null || typeof line.step !== 'number')
      throw new RND1Error('invalid_data', `${path}:${number} is not a line of a run's metrics`);
    const { step, tokens } = line;
    for (const [field, list] of Object.entries(points)) {
      const value = line[field];
      if (typeof value === 'number')
        list.push({ step, tokens: typeof tokens === 'number' ? tokens : Number.NaN, value });
    }
  }
  return points;
}

function parsed(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}

async function metricsPath(run: string): Promise<{ readonly path: string; readonly folder: string }> {
  const stats = await stat(run).catch((error) => {
    throw ioError(run, error);
  });
  return stats.isDirectory()
    ? { path: join(run, metricsName), folder: resolve(run) }
    : { path: run, folder: dirname(resolve(run)) };
}

/** The last parts of each path, as many as tell all of them apart. */
function namesOf(folders: readonly string[]): string[] {
  const tail = (folder: string, parts: number) =>
    folder.split(/[\\/]/).filter(Boolean).slice(-parts).join('/');
  const different = new Set(folders).size;
  let parts = 1;
  while (parts < 64 && new Set(folders.map((folder) => tail(folder, parts))).size < different) parts++;
  return folders.map((folder) => tail(folder, parts) || basename(folder) || folder);
}

/**
 * Right answers against forward passes, for every schedule, on what the embedded model has learned.
 * docs/studies/schedules.md is the result.
 *
 *     npx tsx bench/studies/schedules.ts [--limit 200] [--seeds 1,2,3] [--json FILE] [--svg FILE]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { DiffusionLM, type Schedule } from '../../lib';
import { evaluate } from '../../lib/evaluation';
import { runMain } from '../support/main';
import { circumstances, writeJson } from '../support/record';
import { markdownTable } from './support/figures';
import { type Panel, panelsSvg, percentAxis } from './support/panels';

/** A schedule with what trades speed for quality. */
interface Setting {
  readonly name: string;
  /** As in the name of the setting: `steps 8`, `γ 0.1`. */
  readonly parameter: string;
  readonly schedule: Schedule;
  readonly steps?: number;
  /** Whether it draws random numbers. */
  readonly random?: boolean;
}

const stepCounts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];

const withSteps = (name: string, schedule: Schedule, random = false): Setting[] =>
  stepCounts.map((steps) => ({ name, parameter: `steps ${steps}`, schedule, steps, random }));

const settings: readonly Setting[] = [
  ...withSteps('entropy', 'entropy'),
  ...withSteps('confidence', 'confidence'),
  ...withSteps('margin', 'margin'),
  ...withSteps('random', 'random', true),
  ...withSteps('blocks=8', { type: 'blocks', length: 8, schedule: 'entropy' }),
  ...[10, 3, 1, 0.3, 0.1, 0.03, 0.01, 0.001].map((gamma) => ({
    name: 'entropy-bounded',
    parameter: `γ ${gamma}`,
    schedule: { type: 'entropy-bounded', gamma } as const,
  })),
  ...[0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999].map((tau) => ({
    name: 'threshold',
    parameter: `τ ${tau}`,
    schedule: { type: 'threshold', tau } as const,
  })),
];

/** What was measured: sums over seeds. */
interface Row {
  readonly schedule: string;
  readonly parameter: string;
  readonly task: string;
  readonly right: number;
  readonly documents: number;
  readonly passes: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      limit: { type: 'string', default: '200' },
      seeds: { type: 'string', default: '1,2,3' },
      model: { type: 'string' },
      json: { type: 'string' },
      svg: { type: 'string' },
    },
  });
  const limit = Number(values.limit);
  const seeds = values.seeds.split(',').map(Number);
  if (![limit, ...seeds].every((each) => Number.isSafeInteger(each) && each > 0))
    throw new RangeError('--limit and --seeds must be positive integers');
  await using model = await DiffusionLM.load({ model: values.model, dtype: 'f32' });
  const rows: Row[] = [];
  for (const setting of settings) {
    const measured = await measure(model, setting, limit, setting.random ? seeds : seeds.slice(0, 1));
    rows.push(...measured);
    const [right, documents, passes] = (['right', 'documents', 'passes'] as const).map((name) =>
      measured.reduce((sum, row) => sum + row[name], 0),
    ) as [number, number, number];
    console.error(
      `${setting.name}, ${setting.parameter}: ${((100 * right) / documents).toFixed(1)} % right, ${(passes / documents).toFixed(2)} passes`,
    );
  }
  console.log(tableOf(rows));
  if (values.json !== undefined)
    writeJson(values.json, { ...circumstances(model.info.device), limit, seeds, rows });
  if (values.svg !== undefined) writeFileSync(values.svg, panelsSvg(panelsOf(rows)));
}

async function measure(
  model: DiffusionLM,
  { name, parameter, schedule, steps }: Setting,
  limit: number,
  seeds: readonly number[],
): Promise<Row[]> {
  const rows = new Map<string, Row>();
  for (const drawSeed of seeds) {
    const [nano] = await evaluate(model, {
      tasks: ['nano'],
      limit,
      drawSeed,
      concurrency: 64,
      generation: { schedule, ...(steps === undefined ? {} : { steps }) },
    });
    for (const [i, { task, filters }] of (nano?.documents ?? []).entries()) {
      const before = rows.get(task);
      rows.set(task, {
        schedule: name,
        parameter,
        task,
        right: (before?.right ?? 0) + (filters.none?.scores.exact_match ?? 0),
        documents: (before?.documents ?? 0) + 1,
        passes: (before?.passes ?? 0) + (nano?.answers[i]?.passes ?? 0),
      });
    }
  }
  return [...rows.values()];
}

/** Tasks whose results are shown together. */
const groups: readonly (readonly [title: string, tasks: readonly string[]])[] = [
  ['sums and differences', ['nano_add', 'nano_subtract']],
  ['sorting and reversal', ['nano_sort', 'nano_reverse']],
  ['Sudoku 4×4, 8 holes', ['nano_sudoku_4x4']],
  ['Sudoku 6×6, 18 and 24 holes', ['nano_sudoku_6x6', 'nano_sudoku_6x6_hard']],
];

interface Pooled {
  readonly x: number;
  readonly y: number;
  readonly error: number;
}

/** Percent right by passes, over the tasks of a group. */
function pooled(rows: readonly Row[], setting: Setting, tasks: readonly string[]): Pooled {
  const own = rows.filter(
    ({ schedule, parameter, task }) =>
      schedule === setting.name && parameter === setting.parameter && tasks.includes(task),
  );
  const total = (name: 'right' | 'documents' | 'passes') => own.reduce((sum, row) => sum + row[name], 0);
  const [right, documents] = [total('right') / total('documents'), total('documents')];
  return {
    x: total('passes') / documents,
    y: 100 * right,
    error: 100 * Math.sqrt((right * (1 - right)) / (documents - 1)),
  };
}

const panelsOf = (rows: readonly Row[]): Panel[] =>
  groups.map(([title, tasks]) => ({
    title,
    x: { name: 'forward passes', log: true },
    y: percentAxis('% right'),
    lines: [...new Set(settings.map(({ name }) => name))].map((name) => ({
      name,
      points: settings
        .filter((setting) => setting.name === name)
        .map((setting) => pooled(rows, setting, tasks))
        .sort((a, b) => a.x - b.x),
    })),
  }));

/** A Markdown table: percent right, and forward passes in brackets. */
function tableOf(rows: readonly Row[]): string {
  const lines = settings.map((setting) => {
    const cells = groups.map(([, tasks]) => {
      const { x, y, error } = pooled(rows, setting, tasks);
      return `${y.toFixed(1)} ± ${error.toFixed(1)} (${x.toFixed(1)})`;
    });
    return [`${setting.name}, ${setting.parameter}`, ...cells];
  });
  return markdownTable(['schedule', ...groups.map(([title]) => title)], lines);
}

runMain(main);

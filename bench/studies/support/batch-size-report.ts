import { markdownTable, mean, standardError } from './figures';
import type { Noise } from './noise';
import type { StudyObjective } from './objectives';
import type { Panel, PanelLine } from './panels';

/** Noise of one objective at one checkpoint, as often as it was measured. */
export interface NoisePoint {
  readonly run: 'ar' | 'mdlm';
  readonly step: number;
  readonly objective: StudyObjective;
  readonly repeats: readonly Noise[];
  /** Scored tokens of a canvas, on average. */
  readonly scored: number;
}

/** Losses on held-out data near the end of a branch. */
export interface Branch {
  readonly seed: number;
  readonly run: 'ar' | 'mdlm';
  readonly batch: number;
  readonly losses: readonly number[];
}

export interface BatchSizeResult {
  readonly noise: readonly NoisePoint[];
  readonly branches: readonly Branch[];
}

/** How much worse than the best a branch may end, in nats per token, to count as large enough a batch. */
const tolerance = 0.01;

/** Canvases: tr Σ / |G|², both averaged before they are divided. */
export function noiseScale(repeats: readonly Noise[], group: string): number {
  const average = (name: 'signal' | 'noise') =>
    mean(repeats.map((repeat) => repeat[group]?.[name] ?? Number.NaN));
  return average('noise') / average('signal');
}

const canvases = (value: number) => (value > 0 ? value.toPrecision(3).replace(/\.0+$/, '') : '–');

/** Markdown tables: noise scales along the runs, by group of parameters, and losses of branches. */
export function batchSizeTables({ noise, branches }: BatchSizeResult): string {
  return [alongRuns(noise), byGroup(noise), lossesOfBranches(branches)].join('\n\n');
}

function alongRuns(noise: readonly NoisePoint[]): string {
  const rows = noise.map(({ run, step, objective, repeats, scored }) => {
    const scale = noiseScale(repeats, 'all');
    const each = repeats.map((repeat) => noiseScale([repeat], 'all'));
    return [
      run,
      String(step),
      objective,
      canvases(scale),
      `${canvases(Math.min(...each))} to ${canvases(Math.max(...each))}`,
      canvases(scale * scored),
      canvases(noiseScale(repeats, 'preconditioned')),
    ];
  });
  return markdownTable(
    [
      'run',
      'step',
      'objective',
      'canvases',
      'of one measurement',
      'scored tokens',
      'canvases, after Adam’s √v',
    ],
    rows,
  );
}

/** At the last checkpoint of each run. */
function byGroup(noise: readonly NoisePoint[]): string {
  const lastStep = (run: string) =>
    Math.max(...noise.filter((each) => each.run === run).map(({ step }) => step));
  const last = noise.filter(({ run, step }) => step === lastStep(run));
  const groups = Object.keys(last[0]?.repeats[0] ?? {}).filter(
    (name) => name !== 'all' && name !== 'preconditioned',
  );
  return markdownTable(
    ['objective, at the end', ...groups],
    last.map(({ objective, repeats }) => [
      objective,
      ...groups.map((group) => canvases(noiseScale(repeats, group))),
    ]),
  );
}

const runsOf = (branches: readonly Branch[]) => [...new Set(branches.map(({ run }) => run))];
const batchesOf = (branches: readonly Branch[]) => [...new Set(branches.map(({ batch }) => batch))];

/** The largest batch whose loss is nearly that of the best. */
export function criticalBatch(branches: readonly Branch[]): number {
  const best = Math.min(...branches.map(({ losses }) => mean(losses)));
  return Math.max(
    ...branches.filter(({ losses }) => mean(losses) <= best + tolerance).map(({ batch }) => batch),
  );
}

function lossesOfBranches(branches: readonly Branch[]): string {
  const batches = batchesOf(branches);
  const rows = runsOf(branches).flatMap((run) =>
    [...new Set(branches.map(({ seed }) => seed))].map((seed) => {
      const own = branches.filter((branch) => branch.run === run && branch.seed === seed);
      return [
        run,
        String(seed),
        ...batches.map((batch) =>
          mean(own.find((branch) => branch.batch === batch)?.losses ?? []).toFixed(4),
        ),
        String(criticalBatch(own)),
      ];
    }),
  );
  return markdownTable(['run', 'seed', ...batches.map((batch) => `batch ${batch}`), 'critical batch'], rows);
}

export function batchSizePanels({ noise, branches }: BatchSizeResult): Panel[] {
  const scales = (title: string, group: string): Panel => ({
    title,
    x: { name: 'share of the run' },
    y: { name: 'canvases', log: true },
    lines: [...new Set(noise.map(({ objective }) => objective))].map((objective): PanelLine => {
      const own = noise.filter((point) => point.objective === objective);
      const end = Math.max(...own.map(({ step }) => step));
      const points = own.map(({ step, repeats }) => ({
        x: step / end,
        y: noiseScale(repeats, group),
        error: 0,
      }));
      return { name: objective, points: points.filter(({ y }) => y > 0) };
    }),
  });
  const losses = (title: string, run: Branch['run'], name: string): Panel => ({
    title,
    x: { name: 'batch, canvases', log: true },
    y: { name: 'nats per token' },
    lines: [
      {
        name,
        points: batchesOf(branches).map((batch) => {
          const each = branches.filter((branch) => branch.run === run && branch.batch === batch);
          const values = each.map((branch) => mean(branch.losses));
          return { x: batch, y: mean(values), error: standardError(values) };
        }),
      },
    ],
  });
  return [
    scales('Noise scale', 'all'),
    scales('Noise scale after Adam’s √v', 'preconditioned'),
    losses('Autoregression', 'ar', 'ar'),
    losses('Masked diffusion', 'mdlm', 'mean'),
  ];
}

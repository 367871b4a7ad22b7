import { armName } from './arms';
import { markdownTable, mean, percent, standardError } from './figures';
import { type Axis, type Panel, type PanelLine, percentAxis } from './panels';

/** What was measured at one checkpoint: shares of right digits and of right answers. */
export interface Point {
  readonly step: number;
  /** Upper bound of nats per token of held-out data. */
  readonly loss: number;
  readonly maskedCrossEntropy: number;
  readonly skills: number;
  /** With one digit masked, and with all. */
  readonly kept: number;
  readonly keptAll: number;
  readonly lost: number;
  readonly lostAll: number;
  /** Each digit from those before it, by the causal model with the same weights. */
  readonly lostCausal: number;
}

/** Facts that are learned again, in masked diffusion: forgotten ones, and new ones. */
export interface Again {
  readonly step: number;
  readonly lost: number;
  readonly fresh: number;
}

export interface ArmResult {
  readonly seed: number;
  readonly arm: string;
  readonly points: readonly Point[];
  readonly again: readonly Again[];
}

export interface SeedResult {
  readonly seed: number;
  /** Digits that the causal model knows, given those before. */
  readonly pretrained: { readonly kept: number; readonly lost: number; readonly skills: number };
  readonly arms: readonly ArmResult[];
}

/** The arm that the claim is about. */
const layerWise = armName({ attention: 1e-3, rest: 1e-4 });

const namesOf = (results: readonly SeedResult[]) => [
  ...new Set(results.flatMap((result) => result.arms.map(({ arm }) => arm))),
];

const runsOf = (results: readonly SeedResult[], arm: string): ArmResult[] =>
  results.flatMap((result) => result.arms.filter((each) => each.arm === arm));

const lastOf = ({ points }: ArmResult) => points.at(-1) as Point;

/** Markdown tables: before, at the end, at equal loss, and of what is learned again. */
export function forgettingTables(results: readonly SeedResult[]): string {
  return [atTheEnd(results), atEqualLoss(results), learnedAgain(results)].join('\n\n');
}

function atTheEnd(results: readonly SeedResult[]): string {
  const share = (name: keyof Point) => (runs: readonly ArmResult[]) =>
    percent(runs.map((run) => lastOf(run)[name]));
  const columns: readonly (readonly [string, (runs: readonly ArmResult[]) => string])[] = [
    ['diffusion loss', (runs) => mean(runs.map((run) => lastOf(run).loss)).toFixed(3)],
    ['skills', share('skills')],
    ['KEPT', share('kept')],
    ['KEPT, all masked', share('keptAll')],
    ['LOST', share('lost')],
    ['LOST, all masked', share('lostAll')],
    ['LOST, causal', share('lostCausal')],
  ];
  return markdownTable(
    ['attention : rest', ...columns.map(([title]) => title)],
    namesOf(results).map((name) => [name, ...columns.map(([, cell]) => cell(runsOf(results, name)))]),
  );
}

/** Share of lost facts known when a run's loss has come down to `loss`, between its checkpoints by lines. */
export function lostAtLoss(points: readonly Point[], loss: number): number {
  const after = points.findIndex((point) => point.loss <= loss);
  if (after < 0) return Number.NaN;
  const [from, to] = [points[after - 1], points[after] as Point];
  if (from === undefined) return to.lost;
  return from.lost + ((from.loss - loss) / (from.loss - to.loss)) * (to.lost - from.lost);
}

/** Each arm beside the layer-wise one, where the one with the higher loss ends. */
function atEqualLoss(results: readonly SeedResult[]): string {
  const rows = namesOf(results)
    .filter((name) => name !== layerWise)
    .map((name) => {
      const pairs = runsOf(results, name).flatMap((run) => {
        const other = runsOf(results, layerWise).find(({ seed }) => seed === run.seed);
        if (other === undefined) return [];
        const loss = Math.max(lastOf(run).loss, lastOf(other).loss);
        return [{ loss, other: lostAtLoss(run.points, loss), layerWise: lostAtLoss(other.points, loss) }];
      });
      const differences = pairs.map((pair) => pair.layerWise - pair.other);
      return [
        name,
        mean(pairs.map(({ loss }) => loss)).toFixed(3),
        percent(pairs.map((pair) => pair.other)),
        percent(pairs.map((pair) => pair.layerWise)),
        `${percent(differences)} ± ${(100 * standardError(differences)).toFixed(1)}`,
      ];
    });
  return markdownTable(['arm', 'at a loss of', 'LOST', `LOST of ${layerWise}`, 'difference'], rows);
}

function learnedAgain(results: readonly SeedResult[]): string {
  const steps = [
    ...new Set(results.flatMap(({ arms }) => arms.flatMap(({ again }) => again.map(({ step }) => step)))),
  ];
  const shown = steps.filter((_, i) => i % 2 === 0);
  const rows = namesOf(results).map((name) => [
    name,
    ...shown.map((step) => {
      const at = runsOf(results, name).flatMap(({ again }) => again.filter((each) => each.step === step));
      return `${percent(at.map(({ lost }) => lost))} / ${percent(at.map(({ fresh }) => fresh))}`;
    }),
  ]);
  return markdownTable(['LOST / new facts, after steps', ...shown.map(String)], rows);
}

/** Curves of means over seeds, in percent. */
export function forgettingPanels(results: readonly SeedResult[]): Panel[] {
  const panel = (title: string, x: Axis, of: 'step' | 'loss', share: 'lost' | 'kept' | 'skills'): Panel => ({
    title,
    x,
    y: percentAxis('% right'),
    lines: namesOf(results).map((name): PanelLine => {
      const runs = runsOf(results, name);
      const points = (runs[0]?.points ?? []).map((_, i) => {
        const each = runs.flatMap(({ points }) => points[i] ?? []);
        const values = each.map((point) => 100 * point[share]);
        return { x: mean(each.map((point) => point[of])), y: mean(values), error: standardError(values) };
      });
      return { name, points };
    }),
  });
  return [
    panel('LOST by loss', { name: 'diffusion loss, nats per token' }, 'loss', 'lost'),
    panel('LOST', { name: 'steps' }, 'step', 'lost'),
    panel('KEPT', { name: 'steps' }, 'step', 'kept'),
    panel('Skills', { name: 'steps' }, 'step', 'skills'),
  ];
}

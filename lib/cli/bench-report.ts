import { arch, cpus, platform, totalmem } from 'node:os';
import { basename, resolve } from 'node:path';
import type { StepFigure, WritingFigure } from '../bench/measure';
import { type Peaks, peaksFor, ratesOf } from '../bench/rates';
import {
  formatBytes,
  formatOperations,
  formatSeconds,
  formatShare,
  padCells,
  peerCells,
} from '../bench/units';
import type { DiffusionLM } from '../index';
import { usableCores } from '../runtime/cores';
import { printableName } from '../support/printable';
import { isOnHub } from './loading';

const { version } = require('../../package.json') as { version: string };

/** What a bench measured, and where. */
export interface BenchReport {
  readonly version: string;
  readonly date: string;
  readonly node: string;
  readonly platform: string;
  readonly processor: string;
  /** Physical cores that the process may use. */
  readonly cores: number;
  readonly memoryBytes: number;
  readonly model: {
    /** `nano`, a name on the hub, or the name of a folder or file, without the folders that it is in. */
    readonly name: string;
    readonly family: string;
    readonly weights: string;
    readonly weightBytes: number;
    readonly mapped: boolean;
  };
  readonly device: string;
  readonly instructionSet: string;
  readonly threads: number;
  readonly dtype: string;
  readonly peaks: Peaks;
  readonly steps: readonly StepFigure[];
  readonly writing: WritingFigure | null;
  readonly peer: string | null;
}

/** The part of a report that needs no measurement. */
export function machineOf(
  { info, config }: DiffusionLM,
  place: string | undefined,
): Omit<BenchReport, 'peaks' | 'steps' | 'writing' | 'peer'> {
  const { device, instructionSet, threads, dtype, weightDtype, weightBytes, mapped } = info;
  return {
    version,
    date: new Date().toISOString(),
    node: process.version,
    platform: `${platform()} ${arch()}`,
    processor: cpus()[0]?.model.trim() || 'unknown processor',
    cores: usableCores(),
    memoryBytes: totalmem(),
    model: { name: nameOf(place), family: config.family, weights: weightDtype, weightBytes, mapped },
    ...{ device, instructionSet, threads, dtype },
  };
}

/** Reports are published: the folders of a user are nobody's business. */
function nameOf(place: string | undefined): string {
  if (place === undefined) return 'nano';
  return isOnHub(place) ? place : basename(resolve(place));
}

/** The report as Markdown. */
export function formatBench(report: BenchReport): string {
  const { model, device, instructionSet, threads, peaks, writing } = report;
  const threadCount = `${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  const where =
    device === 'cpu' ? `CPU (${instructionSet}), ${threadCount}` : `${device} (${instructionSet})`;
  const inBytes = model.weights.startsWith('q') && peaks.integerOperationsPerSecond > 0;
  const rates = [
    `copy ${formatBytes(peaks.copyBytesPerSecond, 'B/s')}`,
    `multiply-adds ${formatOperations(peaks.matrixOperationsPerSecond)} in ${report.dtype}`,
    ...(inBytes ? [`${formatOperations(peaks.integerOperationsPerSecond, 'OP/s')} in bytes`] : []),
  ];
  return [
    `rnd1 ${report.version}, Node.js ${report.node}, ${report.platform}, ${report.date.slice(0, 10)}`,
    '',
    `- model: ${printableName(model.name)} (${model.family}), ${formatBytes(model.weightBytes)} of ${model.mapped ? 'mapped ' : ''}${model.weights} weights, computed in ${report.dtype}`,
    `- device: ${where}`,
    `- machine: ${report.processor}, ${report.cores} ${report.cores === 1 ? 'core' : 'cores'}, ${formatBytes(report.memoryBytes)} of memory`,
    `- limits: ${rates.join(', ')}`,
    ...(writing === null ? [] : [`- writing: ${formatWriting(writing)}`]),
    '',
    markdownTable(
      headerOf(report),
      report.steps.map((step) => cellsOf(step, report)),
    ),
  ].join('\n');
}

const formatWriting = ({ tokens, forwards, seconds }: WritingFigure) =>
  `${tokens} tokens in ${forwards} steps, ${formatSeconds(seconds)}: ${formatRate(tokens / seconds)} tokens/s`;

const formatRate = (rate: number) => rate.toFixed(rate < 100 ? 1 : 0);

const headerOf = ({ peer }: BenchReport) => [
  ...['step', 'tokens', 'time', 'tokens/s', 'read', 'of copy', 'rate', 'of peak'],
  ...(peer === null ? [] : [peer, 'ratio']),
];

function cellsOf(step: StepFigure, { peaks, model, peer }: BenchReport): string[] {
  const rates = ratesOf(step, peaksFor(model.weights, peaks));
  const { seconds, peerSeconds } = step;
  return [
    step.case,
    String(step.length * step.canvases),
    formatSeconds(seconds),
    formatRate((step.length * step.canvases) / seconds),
    formatBytes(rates.bytesPerSecond, 'B/s'),
    formatShare(rates.shareOfCopy),
    formatOperations(rates.operationsPerSecond),
    formatShare(rates.shareOfMatrix),
    ...(peer === null ? [] : peerCells(seconds, peerSeconds)),
  ];
}

/** A Markdown table whose columns are aligned in a terminal too. */
function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const [titles = [], ...lines] = padCells([header, ...rows]);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const dashes = titles.map(({ length }, i) =>
    i === 0 ? '-'.repeat(length + 2) : `${'-'.repeat(length + 1)}:`,
  );
  return [line(titles), `|${dashes.join('|')}|`, ...lines.map(line)].join('\n');
}

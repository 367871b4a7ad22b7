import { basename, relative } from 'node:path';
import { isGgufPath } from '../checkpoint/checkpoint-files';
import type { CheckpointReport } from '../index';
import { formatBytes } from '../support/format-bytes';
import { printableName } from '../support/printable';
import { architectureObject, describeModel } from './model-facts';
import { pad, textWidth, wrap } from './width';

/** Which device a model would run on, and why. */
export interface DevicePlan {
  readonly device: string;
  readonly instructionSet: string;
  readonly threads: number;
  /** The compute dtype. */
  readonly dtype: string;
  /** Type of the matmul weights. */
  readonly weights: string;
  readonly reason: string;
}

/** Reason why the model would not run at all. */
export interface Problem {
  readonly problem: string;
}

/** Tensors whose names differ only in numbers. */
interface TensorGroup {
  readonly name: string;
  readonly shape: string;
  readonly dtype: string;
  count: number;
  bytes: number;
}

function used(report: CheckpointReport) {
  const unknown = new Set(report.unknown);
  return report.tensors.filter((tensor) => !unknown.has(tensor.name));
}

/** Bytes of the tensors in use, by dtype, largest first. */
export function bytesByDtype(report: CheckpointReport): Record<string, number> {
  const sums = new Map<string, number>();
  for (const { dtype, bytes } of used(report)) {
    const name = dtype.toLowerCase();
    sums.set(name, (sums.get(name) ?? 0) + bytes);
  }
  return Object.fromEntries([...sums].sort((a, b) => b[1] - a[1]));
}

/** A count of parameters: `1.84M`. */
export function formatCount(count: number): string {
  for (const [unit, size] of [
    ['B', 1e9],
    ['M', 1e6],
    ['K', 1e3],
  ] as const) {
    if (count >= size) return `${(count / size).toFixed(2)}${unit}`;
  }
  return String(count);
}

function groupTensors(report: CheckpointReport): TensorGroup[] {
  const groups = new Map<string, TensorGroup>();
  for (const tensor of used(report)) {
    const name = tensor.name.replace(/\.\d+\./g, '.*.');
    const shape = `[${tensor.shape.join(', ')}]`;
    const dtype = tensor.dtype.toLowerCase();
    const key = `${name} ${shape} ${dtype}`;
    const group = groups.get(key) ?? { name, shape, dtype, count: 0, bytes: 0 };
    group.count++;
    group.bytes += tensor.bytes;
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** Columns as wide as their widest entry; those in `right` are aligned to the right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[], gap: string): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => textWidth(row[column] ?? ''))),
  );
  return rows.map((row) =>
    row
      .map((entry, column) => {
        const width = widths[column] as number;
        return pad(entry, width, right.includes(column) ? 'start' : 'end');
      })
      .join(gap)
      .trimEnd(),
  );
}

function describeWeights({ weights, config, bytes, parameters }: CheckpointReport): string {
  const quantization = config.quantization;
  if (quantization === null) return weights;
  const bits = ((8 * bytes) / parameters.total).toFixed(2);
  const { dtype, group } = quantization;
  const scaled = dtype === 'fp8' ? `blocks of ${group} × ${group}` : `groups of ${group}`;
  return `${weights} in ${scaled}, ${bits} bits per parameter, unquantized tensors included`;
}

/** Where a tokenizer was read from. */
function tokenizerOf({ files }: CheckpointReport): string {
  return files[0] !== undefined && isGgufPath(files[0].path)
    ? 'tokenizer.json beside the file, or else its vocabulary'
    : 'tokenizer.json';
}

/** Breaks a table row that is too wide: the first entry on its own line, the others below it. */
function fitRow(row: string, columns: number): string[] {
  if (textWidth(row) <= columns) return [row];
  const [indent = '', name = '', rest = ''] = /^( *)(\S+)\s*(.*)$/.exec(row)?.slice(1) ?? [];
  const under = wrap(rest.replaceAll(/ {2,}/g, '  '), columns - indent.length - 2);
  const names = wrap(name, columns - indent.length);
  return [...names.map((part) => indent + part), ...under.map((part) => `${indent}  ${part}`)];
}

/** Escapes control characters in names, which come from the files. */
function printable(report: CheckpointReport): CheckpointReport {
  return {
    ...report,
    folder: printableName(report.folder),
    files: report.files.map((file) => ({ ...file, path: printableName(file.path) })),
    tensors: report.tensors.map((tensor) => ({ ...tensor, name: printableName(tensor.name) })),
    unknown: report.unknown.map(printableName),
  };
}

/** The text output of `rnd1 inspect`: the folder, then lines of at most `columns` columns. */
export function formatReport(
  given: CheckpointReport,
  plan: DevicePlan | Problem,
  all: boolean,
  columns: number,
): string {
  const report = printable(given);
  const { parameters, files, unknown } = report;
  const usedTensors = used(report);
  const ignored = new Set(unknown);
  const dtypes = Object.entries(bytesByDtype(report));
  const facts: [string, string][] = [
    ...describeModel(report),
    ['tokenizer', report.tokenizer ? tokenizerOf(report) : 'none: only token ids can be used'],
    ['', ''],
    [
      'parameters',
      `${formatCount(parameters.total)} in all, ${formatCount(parameters.active)} active for each token`,
    ],
    ['weights', describeWeights(report)],
    ['bytes', dtypes.map(([dtype, bytes]) => `${formatBytes(bytes)} ${dtype}`).join(', ')],
    [
      'files',
      files
        .map(
          ({ path, bytes }) => `${relative(report.folder, path) || basename(path)} (${formatBytes(bytes)})`,
        )
        .join('\n'),
    ],
    ['tensors', `${usedTensors.length} in use, ${unknown.length === 0 ? 'none' : unknown.length} ignored`],
    ['', ''],
    ...('problem' in plan
      ? ([['would run', `not at all: ${plan.problem}`]] as [string, string][])
      : ([
          [
            'would run on',
            `${plan.device} (${plan.instructionSet}), ${plan.threads} threads, compute dtype ${plan.dtype}${plan.weights.startsWith('q') ? `, ${plan.weights} weights` : ''}`,
          ],
          ['because', plan.reason],
        ] as [string, string][])),
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  const room = Math.max(1, columns - width - 4);
  const lines = facts.flatMap(([name, value]) =>
    value
      .split('\n')
      .flatMap((line) => wrap(line, room))
      .map((line, i) => `  ${(i === 0 ? name : '').padEnd(width)}  ${line}`.trimEnd()),
  );
  const rows = all
    ? report.tensors.map((tensor) => [
        `  ${tensor.name}`,
        tensor.dtype.toLowerCase(),
        `[${tensor.shape.join(', ')}]`,
        String(tensor.bytes),
        ignored.has(tensor.name) ? 'ignored' : '',
      ])
    : groupTensors(report).map((group) => [
        `  ${group.name}`,
        group.dtype,
        `${group.count} × ${group.shape}`,
        formatBytes(group.bytes),
      ]);
  const wide = table(rows, [3], '  ');
  const fits = wide.every((row) => textWidth(row) <= columns);
  const ignoredNames =
    unknown.length > 0 && !all
      ? ['', 'Ignored:', ...unknown.flatMap((name) => fitRow(`  ${name}`, columns))]
      : [];
  return [
    // Not wrapped, so that it can be copied.
    report.folder,
    ...lines,
    '',
    all ? 'Tensors (bytes):' : 'Tensors:',
    ...(fits ? wide : table(rows, [3], ' ')).flatMap((row) => fitRow(row, columns)),
    ...ignoredNames,
  ].join('\n');
}

/** The output of `rnd1 inspect --json`. */
export function reportObject(report: CheckpointReport, plan: DevicePlan | Problem, all: boolean): object {
  const { folder, config, files, unknown, dtype, weights, bytes, parameters, metadata, tokenizer, warnings } =
    report;
  return {
    folder,
    family: config.family,
    architecture: architectureObject(config.architecture),
    specialTokens: config.tokens,
    generation: config.generation,
    tokenizer,
    parameters,
    dtype,
    weights,
    quantization: config.quantization,
    bytes,
    bytesByDtype: bytesByDtype(report),
    files,
    tensorCount: report.tensors.length - unknown.length,
    ignored: unknown,
    ...(all ? { tensors: report.tensors.map((t) => ({ ...t, dtype: t.dtype.toLowerCase() })) } : {}),
    metadata: Object.fromEntries(metadata),
    warnings,
    wouldRun: plan,
  };
}

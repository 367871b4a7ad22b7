/**
 * Prints every kernel that a step of RND1-30B launches on a GPU of Hopper's generation: blocks, registers, shared memory,
 * waves, bytes, and an estimate of its time; nothing runs on a GPU. The estimates are a model's (gpu-code/time-model.ts),
 * with figures of the GPUs that were assumed, not measured.
 *
 *     npx tsx scripts/launch-plan.ts [--canvases 1] [--length 256] [--weights bf16|q8|q5|q4|fp8] [--json] [--check 1.2]
 *
 * --check RATIO: fails if a step takes longer than RATIO times what reading the weights takes, or if a launch that reads
 * more than 0.3 MB of them has fewer than 100 blocks.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BuildError, say } from './command';
import { compileKernels, type Kernel, readableName } from './gpu-code/kernels';
import { type Batch, type Gpu, gpus, type Launch, microseconds, workOf } from './gpu-code/time-model';
import { buildNativePrograms } from './native-programs';
import { ordinarySettings } from './native-tests';
import { symbolsOf } from './packaging/elf';

const smallestBlocks = 100;
const smallBytes = 300_000;

interface Seen extends Omit<Launch, 'kernel'> {
  readonly kernel: number;
}

/** Runs the step on the simulator, which only notes launches. */
function plannedLaunches(
  program: string,
  { canvases, length }: Batch,
  weights: string,
  kernels: readonly Kernel[],
): Launch[] {
  const { status, stdout, stderr } = spawnSync(program, [String(canvases), String(length), '48', weights], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new BuildError(`rnd1_launch_plan: ${stderr}`);
  const { anchor, launches } = JSON.parse(stdout) as { anchor: number; launches: readonly Seen[] };
  const symbols = symbolsOf(readFileSync(program));
  const start = symbols.find(({ name }) => name === '_ZN3sim7setSeedEm');
  if (!start) throw new BuildError('rnd1_launch_plan has no symbols.');
  const names = new Map(symbols.map(({ name, value }) => [value, name]));
  return launches.map((launch) => {
    const name = readableName(names.get(launch.kernel - anchor + start.value) ?? '');
    const kernel = kernels.find((each) => each.name === name);
    if (!kernel) throw new BuildError(`nvcc has compiled no ${name} for ${launch.name}.`);
    return { ...launch, kernel };
  });
}

interface Row {
  readonly launch: Launch;
  count: number;
}

/** Equal launches, in the order of the first of each. */
function grouped(launches: readonly Launch[]): Row[] {
  const rows = new Map<string, Row>();
  for (const launch of launches) {
    const key = [launch.name, launch.kernel.name, ...launch.grid].join();
    const row = rows.get(key);
    if (row) row.count++;
    else rows.set(key, { launch, count: 1 });
  }
  return [...rows.values()];
}

const sum = (rows: readonly Row[], of: (launch: Launch) => number) =>
  rows.reduce((total, { launch, count }) => total + count * of(launch), 0);

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

function print(rows: readonly Row[], batch: Batch): void {
  const anyGpu = gpus[0] as Gpu;
  const head = `| launch | kernel | number | blocks | of these with rows | threads | registers | shared KB | blocks per SM | waves | weights MB | through L2 MB |`;
  console.log(`${head} ${gpus.map(({ name }) => `${name} µs |`).join(' ')}`);
  console.log(`|---|---${'|---'.repeat(10 + gpus.length)}|`);
  for (const { launch, count } of rows) {
    const { blocks, live, blocksPerMultiprocessor, waves, weights, traffic } = workOf(launch, batch, anyGpu);
    const cells = [
      launch.name,
      `\`${launch.kernel.name.replace('Kernel', '')}\``,
      count,
      blocks,
      live,
      launch.threads,
      launch.kernel.registers,
      Math.round(launch.shared / 1024),
      blocksPerMultiprocessor,
      waves.toFixed(1),
      weights > 0 ? megabytes(weights) : '',
      megabytes(traffic),
      ...gpus.map((gpu) => microseconds(launch, batch, gpu).toFixed(1)),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

try {
  const { values } = parseArgs({
    options: {
      canvases: { type: 'string', default: '1' },
      length: { type: 'string', default: '256' },
      weights: { type: 'string', default: 'bf16' },
      json: { type: 'boolean', default: false },
      check: { type: 'string' },
    },
  });
  const batch = { canvases: Number(values.canvases), length: Number(values.length) };
  const [program] = buildNativePrograms({
    folder: 'build-tests',
    targets: ['rnd1_launch_plan'],
    settings: ordinarySettings(),
  });
  if (!['bf16', 'q8', 'q5', 'q4', 'fp8'].includes(values.weights))
    throw new BuildError(`--weights must be bf16, q8, q5, q4 or fp8, not ${values.weights}.`);
  const rows = grouped(plannedLaunches(program as string, batch, values.weights, compileKernels('sm_90a')));
  const weights = sum(rows, (launch) => workOf(launch, batch, gpus[0] as Gpu).weights);
  const totals = gpus.map((gpu) => {
    const seconds = sum(rows, (launch) => microseconds(launch, batch, gpu)) / 1e6;
    const memory = weights / gpu.memory;
    return { gpu: gpu.name, seconds, memory, ratio: seconds / memory };
  });
  if (values.json) {
    console.log(JSON.stringify({ batch, format: values.weights, gpus, rows, totals }, null, 2));
  } else {
    print(rows, batch);
    console.log();
    for (const { gpu, seconds, memory, ratio } of totals)
      console.log(
        `${gpu}: ${(seconds * 1e3).toFixed(1)} ms, ${ratio.toFixed(2)} x the ${(memory * 1e3).toFixed(1)} ms that its ` +
          `memory takes for ${(weights / 1e9).toFixed(1)} GB`,
      );
  }
  if (values.check !== undefined) {
    const limit = Number(values.check);
    const slow = totals.filter(({ ratio }) => !(ratio <= limit));
    const few = rows.filter(({ launch }) => {
      const { weights: read, live } = workOf(launch, batch, gpus[0] as Gpu);
      return read > smallBytes && live < smallestBlocks;
    });
    if (slow.length > 0)
      throw new BuildError(
        `More than ${limit} x the memory's time on ${slow.map(({ gpu }) => gpu).join(', ')}.`,
      );
    if (few.length > 0)
      throw new BuildError(
        `Fewer than ${smallestBlocks} blocks: ${few.map(({ launch }) => launch.name).join(', ')}.`,
      );
  }
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
}

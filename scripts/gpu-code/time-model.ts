import type { Kernel } from './kernels';

/** A GPU of the estimates, whose figures are assumed, not measured by us. */
export interface Gpu {
  readonly name: string;
  readonly multiprocessors: number;
  /** Hz. */
  readonly clock: number;
  /** Bytes per second: of the memory as a copy reaches it, from the L2 cache to the multiprocessors. */
  readonly memory: number;
  readonly cache: number;
}

export const gpus: readonly Gpu[] = [
  { name: 'H100', multiprocessors: 132, clock: 1.755e9, memory: 3e12, cache: 6e12 },
  { name: 'H200', multiprocessors: 132, clock: 1.755e9, memory: 4.3e12, cache: 6e12 },
];

/** A launch as rnd1_launch_plan prints it, with its kernel as nvcc compiles it. */
export interface Launch {
  readonly name: string;
  readonly kernel: Kernel;
  readonly grid: readonly [x: number, y: number, z: number];
  /** Blocks of a cluster: with the same rows of activations, by those with the same weights. */
  readonly cluster: readonly [across: number, down: number];
  readonly threads: number;
  /** Bytes of shared memory. */
  readonly shared: number;
}

/** RND1's layers, as in rnd1_launch_plan. */
const shape = {
  hidden: 2048,
  heads: 32,
  keyValueHeads: 4,
  headDim: 128,
  experts: 128,
  width: 768,
  chosen: 8,
};
const vocabulary = 151_936;

export interface Batch {
  readonly canvases: number;
  readonly length: number;
}

/** What a launch does, from its shape. */
export interface Work {
  readonly blocks: number;
  /** Blocks that have rows: all experts get the same number. */
  readonly live: number;
  readonly blocksPerMultiprocessor: number;
  readonly waves: number;
  /** Bytes of weights, each counted once. */
  readonly weights: number;
  /** Bytes through the L2 cache. */
  readonly traffic: number;
  /** Steps of the main loop that a block takes, one after another. */
  readonly steps: number;
  /** As in `Tile`. */
  readonly stages: number;
  /** Multiply-adds, with those of the rows that fill tiles up. */
  readonly products: number;
}

/** Bytes of a weight in a quantized format, with its scales, in groups of 64 (native/backend/cuda/quantized_layout.h). */
const quantizedBytes: Readonly<Record<string, number>> = {
  q8: 1056 / 1024,
  q5: 704 / 1024,
  q4: 576 / 1024,
  fp8: 1040 / 1024,
};

/** A tile of a product: rows of weights and of activations. */
interface Tile {
  /** Bytes of one weight. */
  readonly weightBytes: number;
  readonly weightRows: number;
  readonly rows: number;
  readonly inner: number;
  /** Tiles that a block computes one after another. */
  readonly repeated: number;
  /** Steps whose tiles are in shared memory or on their way. */
  readonly stages: number;
  /** Number of weights. */
  readonly weights: number;
}

const sharedMemory = 228 << 10;
const stepValues = 64;

/** The tile of a kernel of products; null for other kernels. */
function tileOf({ name, kernel, shared }: Launch): Tile | null {
  const given = (/<(.*)>/.exec(kernel.name)?.[1] ?? '').split(',');
  const parameters = given.map(Number);
  const weightBytes = quantizedBytes[given.at(-1) ?? ''] ?? 2;
  const wide = /Wide/.test(kernel.name);
  const inClusters = /Cluster/.test(kernel.name);
  const stagesOf = (weightRows: number, rows: number) =>
    inClusters ? Math.floor(shared / (stepValues * (weightRows * weightBytes + rows * 2))) : 3;
  const { hidden, width, experts } = shape;
  const product = /^matmul (\d+) x (\d+)$/.exec(name);
  if (product) {
    const [outputs, inner] = [Number(product[1]), Number(product[2])];
    const [weightRows, rows] = wide ? [128, 128] : [64, parameters[0] as number];
    const stages = stagesOf(weightRows, rows);
    return { weightBytes, weightRows, rows, inner, repeated: 1, stages, weights: outputs * inner };
  }
  if (name === 'route (logits)')
    return {
      weightBytes,
      weightRows: 64,
      rows: 32,
      inner: 256,
      repeated: 1,
      stages: 3,
      weights: experts * hidden,
    };
  if (name === 'experts (gate, up)' || name === 'experts (down)') {
    const [products, tiles, tileRows] = parameters as [number, number, number];
    const [weightRows, rows] = wide ? [128, 128] : [64 * products * tiles, tileRows];
    const inner = products === 2 ? hidden : width;
    const weights = products * experts * width * hidden;
    return { weightBytes, weightRows, rows, inner, repeated: 1, stages: 3, weights };
  }
  if (name === 'score (greedy)')
    return {
      weightBytes,
      weightRows: 64,
      rows: inClusters ? 128 : (parameters[0] as number),
      inner: hidden,
      repeated: 4,
      stages: 3,
      weights: vocabulary * hidden,
    };
  return null;
}

/** Bytes that other kernels read and write, roughly, and microseconds of their dependent steps: loads, sums, barriers. */
function otherWork(
  name: string,
  { canvases, length }: Batch,
): { readonly traffic: number; readonly floor: number } {
  const rows = canvases * length;
  const { hidden, heads, keyValueHeads, headDim, experts, chosen } = shape;
  const columns = (heads + 2 * keyValueHeads) * headDim;
  const tiles = canvases * Math.ceil(length / 64);
  switch (name) {
    case 'embed':
      return { traffic: rows * hidden * 6, floor: 2 };
    case 'addRmsNorm':
      return { traffic: rows * hidden * 14, floor: 3 };
    case 'normRope':
      return { traffic: rows * columns * 6, floor: 3 };
    case 'attention':
      return {
        traffic: tiles * heads * (64 * 4 + length * 4) * headDim,
        floor: 2 + 1.2 * Math.ceil(length / 64),
      };
    case 'route (select)':
      return { traffic: rows * experts * 40, floor: 3 };
    case 'route (group)':
      return { traffic: experts * rows * chosen * 8, floor: 2.5 + (rows * chosen) / 2048 };
    case 'experts (combine)':
      return { traffic: rows * hidden * 4 * (chosen + 1), floor: 2.5 };
    case 'experts (combine), addRmsNorm':
      return { traffic: rows * hidden * (4 * chosen + 10), floor: 3.5 };
    case 'gatherRows':
      return { traffic: rows * hidden * 8, floor: 2 };
    case 'score (join)':
      return { traffic: rows * Math.ceil(vocabulary / 256) * 32, floor: 5 };
    default:
      return { traffic: 0, floor: 6 };
  }
}

/** How many blocks of a kernel a multiprocessor of sm_90 holds. */
function blocksAtOnce({ kernel, threads, shared }: Launch): number {
  const registers = Math.ceil(kernel.registers / 8) * 8 * threads;
  return Math.min(
    32,
    Math.floor(65_536 / registers),
    Math.floor(sharedMemory / (shared + 1024)),
    Math.floor(2048 / threads),
  );
}

export function workOf(launch: Launch, batch: Batch, gpu: Gpu): Work {
  const [x, y, z] = launch.grid;
  const blocks = x * y * z;
  const rows = batch.canvases * batch.length;
  const tile = tileOf(launch);
  let live = blocks;
  if (tile && launch.name.startsWith('experts (')) {
    const perExpert = (rows * shape.chosen) / shape.experts;
    live = x * Math.min(shape.experts, rows * shape.chosen) * Math.ceil(Math.max(perExpert, 1) / tile.rows);
  } else if (launch.name === 'attention') {
    live = batch.canvases * Math.ceil(batch.length / 64) * y;
  }
  const blocksPerMultiprocessor = blocksAtOnce(launch);
  const [across, down] = launch.cluster;
  return {
    blocks,
    live,
    blocksPerMultiprocessor,
    waves: live / (blocksPerMultiprocessor * gpu.multiprocessors),
    weights: tile ? tile.weights * tile.weightBytes : 0,
    traffic: tile
      ? live *
        tile.repeated *
        tile.inner *
        ((tile.weightRows * tile.weightBytes) / down + (tile.rows * 2) / across)
      : otherWork(launch.name, batch).traffic,
    steps: tile ? tile.repeated * Math.ceil(tile.inner / stepValues) : 0,
    stages: tile?.stages ?? 0,
    products: tile ? live * tile.repeated * tile.inner * tile.weightRows * tile.rows : 0,
  };
}

/** Cycles from a copy's start to its use when the memory is busy, shared by the stages on their way. */
const copyLatency = 800;
/** Instructions per cycle of a scheduler. */
const issueRate = 0.6;
/** Multiply-adds of 16-bit values per cycle of a multiprocessor by mma.sync: 62 % of what Hopper's tensor cores can do. */
const productRate = 1320;
/** Microseconds until a kernel's first loads are there; kernels begin early, so that the launch itself is hidden. */
const boundary = 0.4;
const startup = 1.5;
/** The same for blocks of a cluster to meet, before and after. */
const meeting = 0.5;

/** Estimated microseconds: the slowest of memory, cache, matrix products, instruction issue and dependent steps. */
export function microseconds(launch: Launch, batch: Batch, gpu: Gpu): number {
  const { live, waves, weights, traffic, steps, stages, products } = workOf(launch, batch, gpu);
  const { loop } = launch.kernel;
  if (steps === 0) {
    const { floor } = otherWork(launch.name, batch);
    return boundary + floor + (traffic / gpu.cache) * 1e6;
  }
  const [across, down] = launch.cluster;
  const inCluster = across * down > 1;
  // One warp of a block in a cluster only copies.
  const warps = launch.threads / 32 - (inCluster ? 1 : 0);
  const instructions = live * warps * steps * (loop?.instructions ?? 0);
  const seconds = Math.max(
    products / (gpu.multiprocessors * productRate * gpu.clock),
    weights / gpu.memory,
    traffic / gpu.cache,
    instructions / (gpu.multiprocessors * 4 * issueRate * gpu.clock),
    (Math.ceil(waves) * steps * copyLatency) / (stages - 1) / gpu.clock,
  );
  return boundary + startup + (inCluster ? meeting : 0) + seconds * 1e6;
}

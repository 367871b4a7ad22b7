import { sectionsOf } from '../packaging/elf';

/**
 * Machine code of NVIDIA GPUs from sm_80 on: 16 bytes per instruction. Its encoding is not documented; what is used
 * here, the numbers of a few operations and the targets of branches, can be seen in the output of nvdisasm.
 */
export interface Instruction {
  readonly operation: Operation | 'other';
  /** Of a branch: the index of its target. */
  readonly target: number | null;
  /** Whether execution may go on with the next instruction. */
  readonly continues: boolean;
}

/** In the lowest twelve bits of an instruction. */
const operations = {
  matrixProduct: [0x23c, 0x237, 0x27a],
  copyToShared: [0xfae],
  loadMatrix: [0x83b],
  branch: [0x947, 0x547],
  exit: [0x94d],
} as const;
export type Operation = keyof typeof operations;

const operationOf = new Map<number, Operation>(
  Object.entries(operations).flatMap(([name, numbers]) =>
    numbers.map((number): [number, Operation] => [number, name as Operation]),
  ),
);

/** The kernels of a cubin file of CUDA 13, by their mangled names. */
export function readMachineCode(cubin: Buffer): Map<string, readonly Instruction[]> {
  // In the flags of the ELF header: 90 for sm_90.
  const long = ((cubin.readUInt32LE(48) >> 8) & 0xff) >= 90;
  const kernels = new Map<string, readonly Instruction[]>();
  for (const { name, bytes } of sectionsOf(cubin))
    if (name.startsWith('.text.'))
      kernels.set(
        name.slice('.text.'.length),
        Array.from({ length: bytes.length / 16 }, (_, index) => instruction(bytes, index, long)),
      );
  return kernels;
}

function instruction(bytes: Buffer, index: number, long: boolean): Instruction {
  const low = bytes.readBigUInt64LE(index * 16);
  const high = bytes.readBigUInt64LE(index * 16 + 8);
  const operation = operationOf.get(Number(low & 0xfffn)) ?? 'other';
  // Two predicates, of which 7 is always true: of any instruction, and another one of branches.
  const always = ((low >> 12n) & 15n) === 7n && (operation !== 'branch' || ((high >> 23n) & 15n) === 7n);
  const jumps = operation === 'branch';
  return {
    operation,
    target: jumps ? index + 1 + branchOffset(low, high, long) / 16 : null,
    continues: !(always && (jumps || operation === 'exit')),
  };
}

/**
 * Bytes from the next instruction, in words of 4 bytes: 48 bits from bit 34 on; a `long` one, from sm_90 on, has 8 lower
 * bits from bit 16 on.
 */
function branchOffset(low: bigint, high: bigint, long: boolean): number {
  const upper = (low >> 34n) | ((high & 0x3ffffn) << 30n);
  return (
    4 * Number(long ? BigInt.asIntN(56, (upper << 8n) | ((low >> 16n) & 0xffn)) : BigInt.asIntN(48, upper))
  );
}

/** What a warp executes in one round of a loop. */
export interface LoopRound {
  readonly instructions: number;
  readonly matrixProducts: number;
  readonly copiesToShared: number;
}

/**
 * One round of the loop with the most matrix products, on the shortest way that passes as many of them, of copies and
 * of loads of matrices as any way does; null if there is none. Loops inside count as one round.
 */
export function mainLoop(code: readonly Instruction[]): LoopRound | null {
  const productsIn = (first: number, last: number) =>
    code.slice(first, last + 1).filter(({ operation }) => operation === 'matrixProduct').length;
  const loops = code
    .flatMap(({ target }, last) => (target !== null && target < last ? [{ first: target, last }] : []))
    .map((loop) => ({ ...loop, products: productsIn(loop.first, loop.last) }))
    .filter(({ products }) => products > 0)
    .sort((a, b) => b.products - a.products || a.last - a.first - (b.last - b.first));
  return loops[0] ? shortestRound(code, loops[0].first, loops[0].last) : null;
}

interface Way extends LoopRound {
  readonly work: number;
}

function shortestRound(code: readonly Instruction[], first: number, last: number): LoopRound | null {
  const ways = new Array<Way | undefined>(last + 1);
  ways[first] = { work: 0, instructions: 0, matrixProducts: 0, copiesToShared: 0 };
  const reach = (index: number, way: Way) => {
    const known = ways[index];
    if (!known || way.work > known.work || (way.work === known.work && way.instructions < known.instructions))
      ways[index] = way;
  };
  for (let index = first; index <= last; index++) {
    const before = ways[index];
    if (!before) continue;
    const { operation, target, continues } = code[index] as Instruction;
    const product = operation === 'matrixProduct';
    const copy = operation === 'copyToShared';
    const way = {
      work: before.work + (product || copy || operation === 'loadMatrix' ? 1 : 0),
      instructions: before.instructions + 1,
      matrixProducts: before.matrixProducts + (product ? 1 : 0),
      copiesToShared: before.copiesToShared + (copy ? 1 : 0),
    };
    if (index === last) return way;
    if (continues) reach(index + 1, way);
    if (target !== null && target > index && target <= last) reach(target, way);
  }
  return null;
}

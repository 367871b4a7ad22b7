import { mainLoop, readMachineCode } from '../../scripts/gpu-code/machine-code';

const matrixProduct = 0x23c;
const copyToShared = 0xfae;
const loadMatrix = 0x83b;
const add = 0x210;
const branch = 0x947;
const exit = 0x94d;

interface Encoded {
  readonly operation: number;
  /** Instructions from the next one to the target of a branch. */
  readonly offset?: number;
  /** Whether it is executed only if a predicate holds. */
  readonly conditional?: boolean;
}

/** As nvcc encodes it: the offset in words, from sm_90 on its lower 8 bits from bit 16 on, the others from bit 34 on. */
function encode({ operation, offset = 0, conditional = false }: Encoded, target: number): Buffer {
  const words = BigInt(offset * 4);
  const jump =
    target < 90
      ? BigInt.asUintN(48, words) << 34n
      : (BigInt.asUintN(8, words) << 16n) | (BigInt.asUintN(48, words >> 8n) << 34n);
  const bits =
    BigInt(operation) | ((conditional ? 0n : 7n) << 12n) | (operation === branch ? jump | (7n << 87n) : 0n);
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, bits), 0);
  bytes.writeBigUInt64LE(bits >> 64n, 8);
  return bytes;
}

/** An ELF file for sm_`target` with a section of code and one of names. */
function cubinOf(kernel: string, code: readonly Encoded[], target = 90): Buffer {
  const names = Buffer.from(`\0.text.${kernel}\0.names\0`);
  const instructions = Buffer.concat(code.map((each) => encode(each, target)));
  const header = Buffer.alloc(64);
  header.write('\x7fELF\x02\x01', 'latin1');
  header.writeBigUInt64LE(BigInt(64 + names.length + instructions.length), 40);
  header.writeUInt32LE(target << 8, 48);
  header.writeUInt16LE(64, 58);
  header.writeUInt16LE(3, 60);
  header.writeUInt16LE(2, 62);
  const section = (name: number, offset: number, length: number) => {
    const entry = Buffer.alloc(64);
    entry.writeUInt32LE(name, 0);
    entry.writeUInt32LE(1, 4);
    entry.writeBigUInt64LE(BigInt(offset), 24);
    entry.writeBigUInt64LE(BigInt(length), 32);
    return entry;
  };
  return Buffer.concat([
    header,
    names,
    instructions,
    Buffer.alloc(64),
    section(1, 64 + names.length, instructions.length),
    section(names.indexOf('.names'), 64, names.length),
  ]);
}

const loopOf = (code: readonly Encoded[], target?: number) =>
  mainLoop(readMachineCode(cubinOf('someKernel', code, target)).get('someKernel') ?? []);

const simple = (...operations: number[]): Encoded[] => operations.map((operation) => ({ operation }));

describe('machine code', () => {
  test('the kernels of a file by name', () => {
    const kernels = readMachineCode(cubinOf('_Z10someKernelv', simple(add, matrixProduct, exit)));
    expect([...kernels.keys()]).toEqual(['_Z10someKernelv']);
    expect(kernels.get('_Z10someKernelv')?.map(({ operation }) => operation)).toEqual([
      'other',
      'matrixProduct',
      'exit',
    ]);
  });

  test.each([80, 90])('the round of a loop, for sm_%d', (target) => {
    const code = [
      ...simple(add, matrixProduct),
      ...simple(copyToShared, loadMatrix, matrixProduct, matrixProduct, add),
      { operation: branch, offset: -6, conditional: true },
      ...simple(exit),
    ];
    expect(loopOf(code, target)).toMatchObject({ instructions: 6, matrixProducts: 2, copiesToShared: 1 });
  });

  test('a side way without work is not taken, a detour around it is left out', () => {
    const code = [
      ...simple(copyToShared),
      // Skips the copy, so it is not taken.
      { operation: branch, offset: 1, conditional: true },
      ...simple(copyToShared),
      // Skips additions only.
      { operation: branch, offset: 3, conditional: true },
      ...simple(add, add, add, matrixProduct),
      { operation: branch, offset: -9, conditional: true },
    ];
    expect(loopOf(code)).toMatchObject({ instructions: 6, matrixProducts: 1, copiesToShared: 2 });
  });

  test('what follows an unconditional branch is not reached', () => {
    const code = [
      ...simple(matrixProduct),
      { operation: branch, offset: 2 },
      ...simple(copyToShared, matrixProduct, add),
      { operation: branch, offset: -6 },
    ];
    expect(loopOf(code)).toMatchObject({ instructions: 4, matrixProducts: 1, copiesToShared: 0 });
  });

  test('of several loops, the innermost one with the most products', () => {
    const code = [
      ...simple(matrixProduct),
      { operation: branch, offset: -2, conditional: true },
      ...simple(add, matrixProduct, matrixProduct),
      { operation: branch, offset: -3, conditional: true },
      { operation: branch, offset: -5, conditional: true },
    ];
    expect(loopOf(code)).toMatchObject({ instructions: 3, matrixProducts: 2 });
  });

  test('none', () => {
    expect(loopOf(simple(matrixProduct, add, exit))).toBeNull();
  });
});

import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExpectedTensor, expectedTensors } from '../../lib/checkpoint/tensors';
import { loadBinding, type Native } from '../../lib/runtime/binding';

type Description = Parameters<Native['Session']['load']>[0];
export type Session = Awaited<ReturnType<Native['Session']['load']>>;

/** The formats of random weights. */
export const randomWeights = ['bf16', 'q8', 'q5', 'q4'] as const;

export interface RandomSessionOptions {
  readonly architecture: Description['architecture'];
  readonly device: string;
  /** The compute dtype. */
  readonly dtype: Description['dtype'];
  /** Of matmuls; the others are bf16. */
  readonly weights: (typeof randomWeights)[number];
  readonly threads: number;
}

/** A prime, so that the rows of a matrix differ. */
const period = 1_000_003;

/** Numbers of this deviation, uniformly distributed, as bf16: the upper halves of f32. */
function randomHalves(deviation: number): Uint16Array {
  const floats = new Float32Array(period);
  let state = 0x2545f491;
  for (let i = 0; i < period; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    floats[i] = ((state >>> 0) / 2 ** 31 - 1) * Math.sqrt(3) * deviation;
  }
  return Uint16Array.from(new Uint32Array(floats.buffer), (word) => word >>> 16);
}

/** Writes `values` again and again. */
function writeFile(path: string, values: Uint16Array, elements: number): void {
  const file = openSync(path, 'wx');
  const bytes = new Uint8Array(values.buffer);
  for (let left = 2 * elements; left > 0; ) left -= writeSync(file, bytes, 0, Math.min(bytes.length, left));
  closeSync(file);
}

const elementsOf = ({ shape }: ExpectedTensor) => shape.reduce((product, size) => product * size, 1);

/**
 * A session of a model of this architecture with random weights. Those of a kind begin alike, since all are read from
 * one file, but each has memory of its own.
 */
export async function openRandomSession(options: RandomSessionOptions): Promise<Session> {
  const { architecture, device, dtype, threads, weights } = options;
  const expected = [...expectedTensors(architecture)];
  const kinds = [
    { holds: ({ role }: ExpectedTensor) => /norm$/i.test(role), values: Uint16Array.of(0x3f80) },
    { holds: ({ role }: ExpectedTensor) => role === 'embedding', values: randomHalves(1) },
    { holds: () => true, values: randomHalves(1 / Math.sqrt(architecture.hidden)) },
  ];
  const kindOf = (tensor: ExpectedTensor) => kinds.findIndex(({ holds }) => holds(tensor));
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-random-'));
  try {
    const files = kinds.map(({ values }, kind) => {
      const path = join(folder, `${kind}.bin`);
      writeFile(path, values, Math.max(0, ...expected.filter((one) => kindOf(one) === kind).map(elementsOf)));
      return path;
    });
    const tensors = expected.map((tensor) => {
      const { role, shape } = tensor;
      return { role, name: role, shape, file: kindOf(tensor), offset: 0, dtype: 'bf16' as const };
    });
    const quantize = weights === 'bf16' ? null : { dtype: weights, group: 64 as const };
    const description = { architecture, files, tensors, quantize, copied: true, device, dtype, threads };
    return await loadBinding().Session.load(description, null, null);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

import type { FloatType, NativeSystem, QuantizedType } from '../../types/native';
import { firstGpuWithRoom } from './memory';

/** The device that `device: 'auto'` chooses. */
export interface DeviceChoice {
  /** `'cpu'` or `'cuda:N'`. */
  readonly device: string;
  /** Why it is not a GPU; null if it is one. */
  readonly reason: string | null;
}

/** The reason shown for a chosen GPU; `DeviceChoice.reason` explains the CPU only. */
export const firstThatHolds = 'it is the first GPU that holds the weights';

/** Why weights of this dtype cannot be on a GPU; null if they can. */
export function refusedByGpus(weights: FloatType | QuantizedType): string | null {
  return weights === 'q8' || weights === 'q4' ? `${weights} weights run on the CPU only for now` : null;
}

/** The first GPU that holds `bytes` of weights, otherwise the CPU and why. */
export function chooseDevice(
  { gpus, cudaUnavailable }: NativeSystem,
  bytes: number,
  weights: FloatType | QuantizedType = 'bf16',
): DeviceChoice {
  const refused = refusedByGpus(weights);
  if (refused !== null) return { device: 'cpu', reason: refused };
  const gpu = firstGpuWithRoom(gpus, bytes);
  if (gpu !== undefined) return { device: gpu.device, reason: null };
  const reason =
    gpus.length === 0
      ? (cudaUnavailable ?? 'there is no GPU')
      : `the weights take ${bytes} bytes, and no GPU has more than ${Math.max(...gpus.map((g) => g.bytes))}`;
  return { device: 'cpu', reason };
}

import type { NativeSystem } from '../../types/native';
import type { Device } from '../api/load-types';
import { quote } from '../support/validate';
import { firstGpuWithRoom } from './memory';

/** The device that `device: 'auto'` chooses. */
export interface DeviceChoice {
  /** `'cpu'` or `'cuda:N'`. */
  readonly device: string;
  /** Why it is not a GPU; null if it is one. */
  readonly reason: string | null;
}

/**
 * Checks an option that names a device.
 *
 * @throws TypeError naming it
 */
export function deviceOption(value: unknown): Device {
  if (typeof value === 'string' && /^(auto|cpu|cuda|cuda:\d{1,4})$/.test(value)) return value as Device;
  throw new TypeError(`device must be 'auto', 'cpu', 'cuda' or 'cuda:N', not ${quote(value)}`);
}

/** The same for training, where nothing chooses. */
export function trainingDevice(value: unknown): Exclude<Device, 'auto'> {
  const device = deviceOption(value);
  if (device === 'auto') throw new TypeError("device must be 'cpu', 'cuda' or 'cuda:N', not 'auto'");
  return device;
}

/** The reason shown for a chosen GPU; `DeviceChoice.reason` explains the CPU only. */
export const firstThatHolds = 'it is the first GPU that holds the weights';

/** The first GPU that holds `bytes` of weights, otherwise the CPU and why. */
export function chooseDevice({ gpus, cudaUnavailable }: NativeSystem, bytes: number): DeviceChoice {
  const gpu = firstGpuWithRoom(gpus, bytes);
  if (gpu !== undefined) return { device: gpu.device, reason: null };
  const reason =
    gpus.length === 0
      ? (cudaUnavailable ?? 'there is no GPU')
      : `the weights take ${bytes} bytes, and no GPU has more than ${Math.max(...gpus.map((g) => g.bytes))}`;
  return { device: 'cpu', reason };
}

import type { NativeSystem } from '../../types/native';

type Gpu = NativeSystem['gpus'][number];

/** Whether weights are used in the mapped files unless `mmap` says otherwise: copies must leave half of free memory. */
export const mapsByDefault = (bytes: number) => bytes > process.availableMemory() / 2;

/** The first GPU whose memory holds `bytes` of weights. */
export const firstGpuWithRoom = (gpus: readonly Gpu[], bytes: number): Gpu | undefined =>
  gpus.find((gpu) => gpu.bytes > bytes);

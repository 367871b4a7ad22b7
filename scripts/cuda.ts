import { existsSync } from 'node:fs';
import { capture } from './command';
import { findProgram } from './toolchain';

/** CMake variables that decide whether CUDA is built, and for which architectures. */
export interface CudaBuild {
  readonly settings: readonly string[];
  /** A line to print for the user, or null. */
  readonly note: string | null;
}

/** The oldest CUDA toolkit that builds the kernels. */
const oldestToolkit = 13;

/** `9.0` → `90a-real`, machine code for one architecture only; `8.6` → `86-real`. */
function architecture(capability: string): string {
  const number = capability.replace('.', '');
  return `${number}${Number(capability) >= 9 ? 'a' : ''}-real`;
}

/** The architectures of this machine's GPUs in CMake's notation; empty without a GPU or its driver. */
function architecturesHere(): string[] {
  const nvidiaSmi = findProgram('nvidia-smi');
  if (!nvidiaSmi) return [];
  const { ok, output } = capture(nvidiaSmi, ['--query-gpu=compute_cap', '--format=csv,noheader']);
  if (!ok) return [];
  const capabilities = output.split('\n').filter((line) => /^\d+\.\d$/.test(line) && Number(line) >= 8);
  return [...new Set(capabilities.map(architecture))];
}

function findNvcc(): string | null {
  const usual = '/usr/local/cuda/bin/nvcc';
  return findProgram(process.env.CUDACXX, 'nvcc') ?? (existsSync(usual) ? usual : null);
}

/**
 * RND1_CUDA in the environment decides: ON builds every architecture, OFF none, SIM the simulator. Without it, CUDA is
 * built if there are GPUs and a toolkit, for these GPUs only.
 */
export function cudaBuild(): CudaBuild {
  const asked = process.env.RND1_CUDA;
  if (asked) return { settings: [`RND1_CUDA=${asked}`], note: null };
  const architectures = architecturesHere();
  // CMake's cache keeps an earlier setting, which only the user should change.
  if (architectures.length === 0) return { settings: [], note: null };
  const nvcc = findNvcc();
  const version = nvcc ? /release (\d+)/.exec(capture(nvcc, ['--version']).output)?.[1] : undefined;
  if (!nvcc || Number(version ?? 0) < oldestToolkit) {
    const found = nvcc ? `${nvcc} is ${version ?? 'of an unknown version'}` : 'nvcc is not installed';
    return {
      settings: [],
      note: `This machine has a GPU, but ${found}: building for the CPU alone. CUDA ${oldestToolkit} builds for both.`,
    };
  }
  return {
    settings: [
      'RND1_CUDA=ON',
      `RND1_CUDA_ARCHITECTURES=${architectures.join(';')}`,
      `CMAKE_CUDA_COMPILER=${nvcc}`,
    ],
    note: `Building for this machine's GPU too (${architectures.join(', ')}); RND1_CUDA=OFF leaves it out.`,
  };
}

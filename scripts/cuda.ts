import { existsSync } from 'node:fs';
import { capture } from './command';
import { findProgram } from './toolchain';

/** CMake variables that decide whether CUDA is built, and for what. */
export interface CudaBuild {
  readonly settings: readonly string[];
  /** A line for the user; null when there is nothing to say. */
  readonly note: string | null;
}

/** The oldest CUDA toolkit that builds the kernels. */
const oldestToolkit = 13;

/** `9.0` → `90a-real`: the instructions of one architecture alone; `8.6` → `86-real`. */
function architecture(capability: string): string {
  const number = capability.replace('.', '');
  return `${number}${Number(capability) >= 9 ? 'a' : ''}-real`;
}

/** The architectures of this machine's GPUs, as CMake names them; empty without a GPU or its driver. */
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
 * RND1_CUDA in the environment decides: ON builds every architecture, OFF none, SIM the simulator. Otherwise CUDA is
 * built where there are GPUs and a toolkit, for these GPUs alone.
 */
export function cudaBuild(): CudaBuild {
  const asked = process.env.RND1_CUDA;
  if (asked) return { settings: [`RND1_CUDA=${asked}`], note: null };
  const architectures = architecturesHere();
  // CMake remembers what was built here before: it is for the user to take that back.
  if (architectures.length === 0) return { settings: [], note: null };
  const nvcc = findNvcc();
  const version = nvcc ? /release (\d+)/.exec(capture(nvcc, ['--version']).output)?.[1] : undefined;
  if (!nvcc || Number(version ?? 0) < oldestToolkit) {
    const found = nvcc ? `${nvcc} is ${version ?? 'of an unknown version'}` : 'there is no nvcc';
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

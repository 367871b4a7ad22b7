import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cudaBuild } from '../../scripts/cuda';

let folder: string;
let before: NodeJS.ProcessEnv;

/** A program on the PATH that prints this. */
function program(name: string, output: string, status = 0): string {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\nprintf '${output}'\nexit ${status}\n`);
  chmodSync(file, 0o755);
  return file;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-cuda-'));
  before = { ...process.env };
  process.env.PATH = folder;
  delete process.env.RND1_CUDA;
  delete process.env.CUDACXX;
});
afterEach(() => {
  process.env = before;
  rmSync(folder, { recursive: true, force: true });
});

test.each(['ON', 'OFF', 'SIM'])('RND1_CUDA=%s decides, whatever the machine has', (value) => {
  program('nvidia-smi', '9.0\\n');
  process.env.RND1_CUDA = value;
  expect(cudaBuild()).toEqual({ settings: [`RND1_CUDA=${value}`], note: null });
});

test('without a GPU, or with a driver that does not answer, nothing is asked of CMake', () => {
  expect(cudaBuild()).toEqual({ settings: [], note: null });
  program('nvidia-smi', 'NVIDIA-SMI has failed\\n', 9);
  expect(cudaBuild()).toEqual({ settings: [], note: null });
});

test('a GPU that is too old for the kernels does not count', () => {
  program('nvidia-smi', '7.5\\n');
  expect(cudaBuild().settings).toEqual([]);
});

test('a GPU and a toolkit: built for this GPU alone', () => {
  program('nvidia-smi', '9.0\\n9.0\\n');
  const nvcc = program('nvcc', 'Cuda compilation tools, release 13.0, V13.0.48\\n');
  const { settings, note } = cudaBuild();
  expect(settings).toEqual([
    'RND1_CUDA=ON',
    'RND1_CUDA_ARCHITECTURES=90a-real',
    `CMAKE_CUDA_COMPILER=${nvcc}`,
  ]);
  expect(note).toMatch(/RND1_CUDA=OFF/);
  program('nvidia-smi', '8.6\\n12.0\\n');
  expect(cudaBuild().settings[1]).toBe('RND1_CUDA_ARCHITECTURES=86-real;120a-real');
});

test('a GPU with an old toolkit: built for the CPU, and told why', () => {
  program('nvidia-smi', '8.0\\n');
  const nvcc = program('nvcc', 'Cuda compilation tools, release 12.4, V12.4.99\\n');
  process.env.CUDACXX = nvcc;
  const { settings, note } = cudaBuild();
  expect(settings).toEqual([]);
  expect(note).toContain(`${nvcc} is 12: building for the CPU alone. CUDA 13`);
});

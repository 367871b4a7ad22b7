import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { BuildError, capture, root } from '../command';
import { buildNativePrograms, nativeProgramsUnavailable } from '../native-programs';
import { addonCore } from '../native-tests';
import { readElf } from '../packaging/elf';
import { findProgram } from '../toolchain';

/** Options of a kit. */
export interface KitOptions {
  /** The output folder; existing contents are replaced. */
  readonly folder: string;
  /** In CMake's notation: `90a-real`, `80;90a-real`. */
  readonly architectures: string;
  /** Makes a kit for the simulated GPU instead, for rehearsals. */
  readonly simulated: boolean;
  /** The build folder, relative to the root of the checkout. */
  readonly build: string;
}

/** Upper limit of a packed kit. */
const maxPackedBytes = 12e6;

/** Sources of the programs. */
const sources = ['CMakeLists.txt', 'cmake', 'native', 'test/native', 'test/cuda-sim', 'bench/native'];

/** Golden data of the programs, in test/fixtures. */
const goldens = ['training/ops/ops', 'training/adamw/plain-clip1', 'training/adamw/plain-noclip'];

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    throw new BuildError('The kit needs a git checkout, but git failed here.');
  }
}

function must(program: string, ...args: string[]): void {
  const { ok, output } = capture(program, args);
  if (!ok) throw new BuildError(`${program} failed: ${output.trim()}`);
}

function buildPrograms(
  targets: readonly string[],
  { architectures, simulated, build }: KitOptions,
): string[] {
  const unavailable = nativeProgramsUnavailable();
  if (unavailable) throw new BuildError(unavailable);
  if (!simulated && !findProgram('nvcc', '/usr/local/cuda/bin/nvcc'))
    throw new BuildError('nvcc is not installed: a kit for GPUs needs the CUDA toolkit 13.');
  return buildNativePrograms({
    folder: build,
    targets,
    settings: [
      'RND1_TESTS=ON',
      'RND1_BENCH=ON',
      // The GPU machine may have older libraries. Unused parts of libstdc++ would require the newest glibc.
      'CMAKE_EXE_LINKER_FLAGS=-static-libstdc++ -Wl,--gc-sections',
      ...(simulated
        ? ['RND1_CUDA=SIM', 'RND1_CUDA_SIM=ON', `RND1_CORE=${addonCore()}`]
        : ['RND1_CUDA=ON', `RND1_CUDA_ARCHITECTURES=${architectures}`]),
    ],
  });
}

/**
 * Makes the kit: programs, scripts, sources.
 *
 * @throws BuildError if something does not build, or the packed kit is too large
 */
export function makeKit(options: KitOptions): { bytes: number; packedBytes: number; glibc: string } {
  const { folder, architectures, simulated } = options;
  const programs = [simulated ? 'rnd1_cuda_sim_tests' : 'rnd1_tests', 'rnd1_bench'];
  const [tests, bench] = buildPrograms(programs, options) as [string, string];
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(tests, join(folder, 'rnd1_tests'));
  copyFileSync(bench, join(folder, 'rnd1_bench'));
  const strip = findProgram('strip');
  if (strip) must(strip, join(folder, 'rnd1_tests'), join(folder, 'rnd1_bench'));
  for (const name of ['run.sh', 'build.sh', 'summarize.py']) {
    copyFileSync(join(__dirname, name), join(folder, name));
    chmodSync(join(folder, name), 0o755);
  }
  for (const name of goldens) {
    const fixture = join(root, 'test', 'fixtures', name);
    for (const ending of ['.json', '.bin'])
      cpSync(`${fixture}${ending}`, join(folder, 'fixtures', `${name}${ending}`));
  }
  cpSync(join(root, 'bench', 'peers'), join(folder, 'peers'), {
    recursive: true,
    filter: (path) => !path.includes('__pycache__'),
  });
  const files = git('ls-files', '--cached', '--others', '--exclude-standard', ...sources)
    .split('\n')
    .filter((file) => existsSync(join(root, file)));
  must('tar', '-cJf', join(folder, 'src.tar.xz'), '-C', root, ...files);
  const changed = git('status', '--porcelain').length > 0 ? ' with changes' : '';
  const settings = {
    commit: `${git('rev-parse', '--short', 'HEAD')}${changed}`,
    date: new Date().toISOString().slice(0, 10),
    architectures: simulated ? 'the simulated GPU' : architectures,
    simulated: simulated ? '1' : '',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`);
  writeFileSync(join(folder, 'kit.env'), lines.join(''));

  const bytes = folderBytes(folder);
  const packed = `${folder}.tar.xz`;
  must('tar', '-cJf', packed, '-C', folder, '.');
  const packedBytes = statSync(packed).size;
  rmSync(packed);
  if (packedBytes > maxPackedBytes)
    throw new BuildError(
      `${folder} takes ${packedBytes} bytes packed, which is more than ${maxPackedBytes}.`,
    );
  return { bytes, packedBytes, glibc: glibcOf(join(folder, 'rnd1_tests'), join(folder, 'rnd1_bench')) };
}

/** The oldest glibc with which the programs start: `2.34`. */
function glibcOf(...programs: string[]): string {
  const minors = programs
    .flatMap((program) => [...readElf(readFileSync(program)).versions.keys()])
    .map((version) => Number(/^GLIBC_2\.(\d+)/.exec(version)?.[1] ?? 0));
  return `2.${Math.max(...minors)}`;
}

/** Builds the addon of the packages in the build folder of the kit's programs, and returns its path. */
export function buildAddon(options: KitOptions): string {
  buildPrograms(['rnd1_portable'], options);
  return join(root, options.build, 'portable', 'rnd1.node');
}

/** Total size of all files below a folder. */
function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

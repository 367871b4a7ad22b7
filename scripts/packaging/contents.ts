import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { oldestGlibc } from '../../lib/runtime/platform';
import { BuildError } from '../command';
import { isElf, readElf } from './elf';
import { type GpuCode, readFatBinaries } from './fatbin';
import { isMachO, readMachO } from './macho';

/** The contents and requirements of an addon; most of a platform package's build.json. */
export interface AddonContents {
  readonly bytes: number;
  /** CPU instruction sets it has kernels for, best first. */
  readonly instructionSets: readonly string[];
  /** null = built for the CPU only. */
  readonly cuda: GpuCode | null;
  /** Shared libraries it depends on. */
  readonly libraries: readonly string[];
  /** The oldest glibc it runs with; null if not applicable. */
  readonly glibc: string | null;
  /** The oldest macOS it runs on; null if not applicable. */
  readonly macos: string | null;
}

/** Contents, and problems with publishing them, in sentences. */
export interface Inspection {
  readonly contents: AddonContents;
  /** Problems on any machine. */
  readonly errors: readonly string[];
  /** Problems on older systems only. */
  readonly warnings: readonly string[];
}

/** Libraries of glibc, GCC's runtime and macOS that every system with Node.js has. */
const everywhere =
  /^(lib(c|m|pthread|dl|rt)\.so\.\d|libgcc_s\.so\.1|ld-linux[\w-]*\.so\.\d|\/usr\/lib\/lib(System\.B|c\+\+\.1)\.dylib|@rpath\/rnd1\.node)$/;

/** Reads the addon's file, and loads it to query its instruction sets. */
export function inspectAddon(file: string): Inspection {
  const binary = readFileSync(file);
  const instructionSets = askInstructionSets(file);
  if (isElf(binary)) return inspectElf(binary, instructionSets);
  if (isMachO(binary)) return inspectMachO(binary, instructionSets);
  throw new BuildError(`${file} is neither an ELF nor a Mach-O file.`);
}

function inspectElf(binary: Buffer, instructionSets: readonly string[]): Inspection {
  const elf = readElf(binary);
  const gpuCode = elf.section('.nv_fatbin');
  const glibc = [...elf.versions.keys()].filter((name) => name.startsWith('GLIBC_')).sort(byVersion);
  const tooNew = glibc.filter((name) => byVersion(name, `GLIBC_${oldestGlibc}`) > 0);
  const libstdcxx = [...elf.versions.keys()].filter((name) => /^(GLIBCXX|CXXABI)_/.test(name));
  const warnings = tooNew.map(
    (name) => `it needs ${name.replace('_', ' ')} for ${elf.versions.get(name)?.join(', ')}`,
  );
  if (libstdcxx.length > 0)
    warnings.push(`it needs the system's libstdc++: ${libstdcxx.sort(byVersion).at(-1)}`);
  return {
    contents: {
      bytes: binary.length,
      instructionSets,
      cuda: gpuCode ? readFatBinaries(gpuCode) : null,
      libraries: elf.libraries,
      glibc: glibc.at(-1)?.slice('GLIBC_'.length) ?? null,
      macos: null,
    },
    errors: foreign(elf.libraries.filter((name) => name !== 'libstdc++.so.6')),
    warnings,
  };
}

function inspectMachO(binary: Buffer, instructionSets: readonly string[]): Inspection {
  const { libraries, oldestSystem } = readMachO(binary);
  return {
    contents: {
      bytes: binary.length,
      instructionSets,
      cuda: null,
      libraries,
      glibc: null,
      macos: oldestSystem,
    },
    errors: foreign(libraries),
    warnings: [],
  };
}

function foreign(libraries: readonly string[]): string[] {
  return libraries
    .filter((name) => !everywhere.test(name))
    .map((name) => `it needs the shared library ${name}, which not every system has`);
}

/** Loads the addon in a separate process, since an addon cannot be unloaded. */
function askInstructionSets(file: string): string[] {
  const script =
    'process.stdout.write(JSON.stringify(require(process.argv[1]).system().compiledInstructionSets))';
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', script, file], { encoding: 'utf8' });
  if (status !== 0) throw new BuildError(`${file} cannot be loaded here:\n${stderr}`);
  return JSON.parse(stdout) as string[];
}

/** Orders GLIBC_2.4 before GLIBC_2.27. */
function byVersion(left: string, right: string): number {
  return left.localeCompare(right, 'en', { numeric: true });
}

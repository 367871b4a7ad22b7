import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/** Tools found for building the addon; null = not found. */
export interface Toolchain {
  readonly cmake: string | null;
  /** ninja or make, for which CMake and node-gyp only write files. */
  readonly buildTool: string | null;
  readonly compiler: string | null;
  /** Needed by node-gyp. */
  readonly python: string | null;
}

/** Full path of the first of these programs that is on the PATH; null if none is. */
export function findProgram(...names: readonly (string | undefined)[]): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  for (const name of names) {
    if (!name) continue;
    for (const file of isAbsolute(name) ? [name] : folders.map((folder) => join(folder, name))) {
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {}
    }
  }
  return null;
}

export function findToolchain(): Toolchain {
  return {
    cmake: findProgram('cmake'),
    buildTool: findProgram('ninja', 'make'),
    compiler: findProgram(process.env.CXX, 'c++', 'g++', 'clang++'),
    python: findProgram(process.env.PYTHON, 'python3', 'python'),
  };
}

function linuxFamily(): string {
  try {
    return readFileSync('/etc/os-release', 'utf8');
  } catch {
    return '';
  }
}

/** One command that installs a C++20 compiler and CMake on this system. */
export function installAdvice(platform = process.platform, release = linuxFamily()): string {
  if (platform === 'darwin') return 'xcode-select --install && brew install cmake';
  if (/^ID(_LIKE)?=.*(debian|ubuntu)/m.test(release)) return 'sudo apt-get install build-essential cmake';
  if (/^ID(_LIKE)?=.*(fedora|rhel)/m.test(release)) return 'sudo dnf install gcc-c++ make cmake';
  if (/^ID(_LIKE)?=.*suse/m.test(release)) return 'sudo zypper install gcc-c++ make cmake';
  if (/^ID(_LIKE)?=.*arch/m.test(release)) return 'sudo pacman -S base-devel cmake';
  if (/^ID(_LIKE)?=.*alpine/m.test(release)) return 'apk add g++ make cmake';
  return 'install g++ (12 or newer) or clang++ (16 or newer), make, and cmake';
}

/** A message that lists the tools missing for a build; null if none is. */
export function missingTools(
  { cmake, buildTool, compiler, python }: Toolchain,
  platform = process.platform,
): string | null {
  if (platform === 'win32') return 'rnd1 does not build on Windows yet. Inside WSL it does.';
  const missing = [
    compiler ? null : 'a C++20 compiler',
    buildTool ? null : 'make or ninja',
    cmake || python ? null : 'CMake',
  ].filter((tool) => tool !== null);
  if (missing.length === 0) return null;
  return [
    `rnd1 needs ${new Intl.ListFormat('en').format(missing)} to build its native addon. This installs what it needs:`,
    '',
    `    ${installAdvice()}`,
    '',
    'Then run npm install again.',
  ].join('\n');
}

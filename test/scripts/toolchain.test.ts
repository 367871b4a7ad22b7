import { delimiter, dirname } from 'node:path';
import { findProgram, installAdvice, missingTools } from '../../scripts/toolchain';

const complete = {
  cmake: '/bin/cmake',
  buildTool: '/bin/make',
  compiler: '/bin/c++',
  python: '/bin/python3',
};

describe('missingTools', () => {
  test('is null when CMake or node-gyp can build', () => {
    expect(missingTools(complete)).toBeNull();
    expect(missingTools({ ...complete, python: null })).toBeNull();
    expect(missingTools({ ...complete, cmake: null })).toBeNull();
  });

  test('names what is missing and how to install it', () => {
    expect(missingTools({ ...complete, compiler: null })).toMatch(/needs a C\+\+20 compiler to build/);
    expect(missingTools({ ...complete, buildTool: null })).toMatch(/needs make or ninja to build/);
    expect(missingTools({ ...complete, cmake: null, python: null })).toMatch(/needs CMake to build/);
    const nothing = { cmake: null, buildTool: null, compiler: null, python: null };
    expect(missingTools(nothing)).toContain('a C++20 compiler, make or ninja, and CMake');
    expect(missingTools(nothing)).toContain(installAdvice());
    expect(missingTools(complete, 'win32')).toMatch(/not build on Windows/);
  });
});

test.each([
  ['darwin', '', 'xcode-select --install'],
  ['linux', 'NAME="Debian"\nID=debian\n', 'apt-get install build-essential cmake'],
  ['linux', 'ID=linuxmint\nID_LIKE="ubuntu debian"\n', 'apt-get install build-essential cmake'],
  ['linux', 'ID="rocky"\nID_LIKE="rhel centos fedora"\n', 'dnf install gcc-c++ make cmake'],
  ['linux', 'ID=fedora\n', 'dnf install gcc-c++ make cmake'],
  ['linux', 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', 'zypper install gcc-c++ make cmake'],
  ['linux', 'ID=arch\n', 'pacman -S base-devel cmake'],
  ['linux', 'ID=alpine\n', 'apk add g++ make cmake'],
  ['linux', 'ID=unheard-of\n', 'install g++ (12 or newer) or clang++ (16 or newer), make, and cmake'],
] as const)('on %s with %j the advice holds %j', (platform, release, command) => {
  expect(installAdvice(platform, release)).toContain(command);
});

describe('findProgram', () => {
  const path = process.env.PATH;
  afterEach(() => {
    process.env.PATH = path;
  });

  test('takes the first name that is on the PATH, or a full path', () => {
    process.env.PATH = ['/nowhere', dirname(process.execPath)].join(delimiter);
    expect(findProgram('no-such-program', undefined, 'node')).toMatch(/node$/);
    expect(findProgram(process.execPath)).toBe(process.execPath);
    expect(findProgram('no-such-program')).toBeNull();
  });
});

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findBinding } from '../../../lib/runtime/binding';
import { libraryProblem } from '../../../lib/runtime/elf';
import { type Host, thisHost } from '../../../lib/runtime/platform';

// The error when there is no addon. Every other test shows that an existing one is found.

const { version } = JSON.parse(readFileSync(resolve(__dirname, '../../../package.json'), 'utf8'));
const glibc: Host = { platform: 'linux', arch: 'x64', glibc: '2.36' };
let root = '';

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'rnd1-binding-')));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function failure(host: Host, bundled = false): { message: string; code: string; cause: AggregateError } {
  try {
    const require = createRequire(join(root, 'any.js'));
    findBinding({ folder: bundled ? null : root, bundled, require }, host);
  } catch (error) {
    return error as ReturnType<typeof failure>;
  }
  throw new Error('an addon was found');
}

test('every place that was tried is named, with its error', () => {
  const { message, code, cause } = failure(glibc);
  expect(code).toBe('addon_not_found');
  const lines = message.split('\n');
  expect(lines[0]).toBe(
    `The native addon of rnd1 ${version} cannot be loaded on linux-x64 (glibc 2.36), Node.js ${process.version}. Tried:`,
  );
  const places = lines.filter((line) => line.startsWith('  '));
  expect(places).toEqual([
    expect.stringMatching(/^ {2}package rnd1-linux-x64: Cannot find module 'rnd1-linux-x64\/package\.json'/),
  ]);
  expect(cause.errors).toHaveLength(places.length);
});

test('an empty build folder is named once, however many places in it were tried', () => {
  mkdirSync(join(root, 'build'));
  const places = failure(glibc)
    .message.split('\n')
    .filter((line) => line.startsWith('  '));
  expect(places).toHaveLength(2);
  expect(places[0]).toBe(`  local build in ${join(root, 'build')}: there is no rnd1.node in it`);
});

test('a bundle is told to install rnd1 beside it, or to keep it external', () => {
  const { message } = failure(glibc, true);
  expect(message).toContain(
    `Remedy: install rnd1 ${version} and rnd1-linux-x64 ${version} where the bundle runs.`,
  );
  expect(message).toContain("webpack `externals: { rnd1: 'commonjs rnd1' }`");
  expect(failure(glibc).message).not.toContain('external');
});

test('a package that npm left out can be installed', () => {
  expect(failure(glibc).message).toContain(`Remedy: install rnd1-linux-x64 ${version} beside rnd1.`);
});

test('musl is named, and a way around it', () => {
  const { message } = failure({ ...glibc, glibc: null });
  expect(message).toContain('cannot be loaded on linux-x64 (musl)');
  expect(message).toContain('the prebuilt addons are for glibc 2.28 or newer');
  expect(message).toContain('Alpine');
});

test.each([
  ['win32', 'x64'],
  ['darwin', 'x64'],
  ['linux', 'riscv64'],
])('there is no package for %s-%s, and it says for what there is', (platform, arch) => {
  const { message } = failure({ platform, arch, glibc: platform === 'linux' ? '2.36' : null });
  expect(message).toContain(
    `there is no prebuilt addon for ${platform}-${arch}, only for linux-x64, linux-arm64, darwin-arm64.`,
  );
  expect(message).toContain('`npm install` in a checkout of rnd1 builds one');
});

test('a checkout is told to build', () => {
  writeFileSync(join(root, 'CMakeLists.txt'), '');
  expect(failure(glibc).message).toContain('Remedy: run `npm install` in this checkout');
});

test('a file that is no addon is named, with the error of the system', () => {
  mkdirSync(join(root, 'build/Release'), { recursive: true });
  writeFileSync(join(root, 'build/Release/rnd1.node'), 'not an addon');
  const { message } = failure(glibc);
  expect(message).toContain(
    `  local build in ${join(root, 'build')}: ${join(root, 'build/Release/rnd1.node')}: `,
  );
});

test('a library that is truncated, or for another processor, is named and not loaded', () => {
  const path = join(root, 'build/Release/rnd1.node');
  mkdirSync(join(root, 'build/Release'), { recursive: true });
  const elf = Buffer.alloc(4096);
  elf.write('\x7fELF\x02\x01', 'latin1');
  elf.writeUInt16LE(process.arch === 'arm64' ? 183 : 62, 18);
  elf.writeBigUInt64LE(4000n, 40);
  elf.writeUInt16LE(64, 58);
  elf.writeUInt16LE(2, 60);
  writeFileSync(path, elf);
  expect(libraryProblem(path)).toBe('it is cut short: it has 4096 of 4128 bytes');
  if (process.platform === 'linux')
    expect(failure(glibc).message).toContain(`${path}: it is cut short: it has 4096 of 4128 bytes`);
  writeFileSync(path, Buffer.concat([elf, Buffer.alloc(32)]));
  expect(libraryProblem(path)).toBeNull();
  expect(libraryProblem(path, process.arch === 'arm64' ? 'x64' : 'arm64')).toMatch(/^it is for another kind/);
  expect(libraryProblem(resolve(__dirname, '../../../build/Release/rnd1.node'))).toBeNull();
});

test('a Node.js that is not allowed to load addons is recognized', () => {
  const script = `require(${JSON.stringify(resolve(__dirname, '../../..'))}).system()`;
  const { stderr } = spawnSync(process.execPath, ['--no-addons', '-e', script], { encoding: 'utf8' });
  expect(stderr).toContain(
    'Remedy: this Node.js is not allowed to load addons: start it without --no-addons',
  );
  expect(stderr).not.toContain('npm install');
});

test('this machine is described as it is', () => {
  const host = thisHost();
  expect(host).toMatchObject({ platform: process.platform, arch: process.arch });
  if (process.platform !== 'linux') expect(host.glibc).toBeNull();
});

describe('an installed package', () => {
  function install(installed: string, problem: string): void {
    jest.doMock('rnd1-linux-x64/package.json', () => ({ version: installed }), { virtual: true });
    const broken = () => {
      throw new Error(problem);
    };
    jest.doMock('rnd1-linux-x64', broken, { virtual: true });
  }
  afterEach(() => jest.resetModules());

  test('of another version is not loaded', () => {
    install('0.0.1', 'must not be loaded');
    const { message } = failure(glibc);
    expect(message).toContain(
      `  package rnd1-linux-x64: it is installed as 0.0.1, and rnd1 ${version} needs ${version}\n`,
    );
    expect(message).toContain('Remedy: install rnd1 and rnd1-linux-x64 of one version.');
  });

  test('that needs a newer C library is recognized', () => {
    install(version, "libc.so.6: version `GLIBC_2.28' not found (required by rnd1.node)");
    const { message } = failure({ ...glibc, glibc: '2.17' });
    expect(message).toContain('cannot be loaded on linux-x64 (glibc 2.17)');
    expect(message).toContain("package rnd1-linux-x64: libc.so.6: version `GLIBC_2.28' not found");
    expect(message).toContain("this system's C library is too old for rnd1-linux-x64");
  });
});

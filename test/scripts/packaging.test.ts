import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture } from '../../scripts/command';
import { isElf, readElf } from '../../scripts/packaging/elf';
import { readFatBinaries } from '../../scripts/packaging/fatbin';
import { readMachO } from '../../scripts/packaging/macho';
import { mainManifest, platformManifest } from '../../scripts/packaging/manifests';
import { findProgram } from '../../scripts/toolchain';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-packaging-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function succeed(program: string, args: readonly string[]): string {
  const { ok, output } = capture(program, args, folder);
  if (!ok) throw new Error(output);
  return output;
}

const readelf = findProgram('readelf');
const compiler = findProgram('c++');
const linux = process.platform === 'linux' && readelf && compiler ? describe : describe.skip;

linux('readElf', () => {
  const source = 'extern "C" { double power(double, double); char mark[3] = {1, 2, 3}; }';
  let file = '';

  beforeAll(() => {
    file = join(folder, 'library.so');
    writeFileSync(
      join(folder, 'library.cc'),
      `#include <cmath>\n#include <string>\n#include <sys/stat.h>\n${source}
__attribute__((section("marked"))) char text[] = "found";
double power(double x, double y) { struct stat s; return fstat(1, &s) + std::pow(x, y) + std::to_string(x).size(); }`,
    );
    succeed('c++', ['-shared', '-fPIC', '-o', file, 'library.cc']);
  });

  test('finds what readelf finds', () => {
    const elf = readElf(readFileSync(file));
    const dynamic = succeed('readelf', ['-d', file]);
    expect(elf.libraries.length).toBeGreaterThan(1);
    expect(elf.libraries).toEqual([...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name));

    const symbols = succeed('readelf', ['--dyn-syms', '--wide', file]);
    const undefinedSymbols = [...symbols.matchAll(/ UND (\w+)@(\w[\w.]*)/g)].map(
      ([, name, version]) => `${name} ${version}`,
    );
    const read = [...elf.versions].flatMap(([version, names]) => names.map((name) => `${name} ${version}`));
    expect(read.sort()).toEqual(undefinedSymbols.sort());
    expect(read).toContainEqual(expect.stringMatching(/^pow GLIBC_2\./));
    expect(elf.exports).toEqual(expect.arrayContaining(['power', 'mark']));
    expect(elf.exports).not.toContain('pow');
    expect(elf.section('marked')?.toString()).toBe('found\0');
    expect(elf.section('absent')).toBeNull();
  });

  test('tells how a library is protected', () => {
    const hardening = (...options: string[]) => {
      const out = join(folder, 'protected.so');
      succeed('c++', [
        '-shared',
        '-fPIC',
        '-o',
        out,
        'library.cc',
        ...options.map((name) => `-Wl,-z,${name}`),
      ]);
      return readElf(readFileSync(out)).hardening;
    };
    const all = { relro: true, bindNow: true, executableStack: false, noDelete: true };
    expect(hardening('relro', 'now', 'noexecstack', 'nodelete')).toEqual(all);
    expect(hardening('norelro', 'lazy', 'execstack')).toEqual({
      relro: false,
      bindNow: false,
      executableStack: true,
      noDelete: false,
    });
    // As the addon of this checkout is.
    expect(readElf(readFileSync(join(__dirname, '../../build/Release/rnd1.node'))).hardening).toEqual(all);
  });

  test('refuses what it cannot read', () => {
    expect(isElf(Buffer.from('text'))).toBe(false);
    expect(() => readElf(Buffer.alloc(100))).toThrow('not a little-endian ELF file of 64 bit');
  });
});

test('readMachO finds libraries and the oldest system', () => {
  const load = (command: number, name: string) => {
    const bytes = Buffer.alloc(24 + Math.ceil((name.length + 1) / 8) * 8);
    bytes.writeUInt32LE(command, 0);
    bytes.writeUInt32LE(bytes.length, 4);
    bytes.writeUInt32LE(24, 8);
    bytes.write(name, 24);
    return bytes;
  };
  const build = Buffer.alloc(24);
  build.writeUInt32LE(0x32, 0);
  build.writeUInt32LE(24, 4);
  build.writeUInt32LE(1, 8);
  build.writeUInt32LE((11 << 16) | (3 << 8), 12);
  const commands = [
    load(0xd, '@rpath/own'),
    build,
    load(0xc, '/usr/lib/libc++.1.dylib'),
    load(0x80000018, '/weak'),
  ];
  const header = Buffer.alloc(32);
  header.writeUInt32LE(0xfeedfacf, 0);
  header.writeUInt32LE(commands.length, 16);
  expect(readMachO(Buffer.concat([header, ...commands]))).toEqual({
    libraries: ['/usr/lib/libc++.1.dylib', '/weak'],
    oldestSystem: '11.3',
  });
  expect(() => readMachO(Buffer.alloc(64))).toThrow('not a Mach-O file');
});

const nvcc = findProgram('nvcc');
(nvcc ? test : test.skip)('readFatBinaries finds what nvcc was asked for', () => {
  writeFileSync(
    join(folder, 'kernel.cu'),
    '__global__ void kernel() {}\nvoid launch() { kernel<<<1, 1>>>(); }\n',
  );
  const targets = ['compute_80,code=[sm_80,compute_80]', 'compute_90a,code=sm_90a'];
  const options = targets.flatMap((target) => ['-gencode', `arch=${target}`]);
  succeed(nvcc as string, ['-shared', '-Xcompiler', '-fPIC', ...options, '-o', 'kernel.so', 'kernel.cu']);
  const section = readElf(readFileSync(join(folder, 'kernel.so'))).section('.nv_fatbin') as Buffer;
  expect(readFatBinaries(section)).toEqual({
    architectures: ['sm_80', 'sm_90a'],
    ptx: expect.arrayContaining(['compute_80']),
  });
  expect(() => readFatBinaries(section.subarray(0, 100))).toThrow('cut short');
});

describe('the manifests', () => {
  const checkout = {
    name: 'rnd1',
    version: '1.2.3',
    private: true,
    license: 'Apache-2.0',
    scripts: { prepare: 'build' },
    dependencies: { a: '^1.0.0' },
    peerDependencies: { c: '^1.0.0' },
    peerDependenciesMeta: { c: { optional: true } },
    devDependencies: { b: '^1.0.0' },
  };
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository } = process.env;
  afterEach(() => {
    for (const [name, value] of Object.entries({ GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository }))
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  });

  test('name the repository where one builds them, since npm compares it with the provenance', () => {
    process.env.GITHUB_SERVER_URL = 'https://forge.example';
    process.env.GITHUB_REPOSITORY = 'owner/name';
    const expected = { repository: { type: 'git', url: 'git+https://forge.example/owner/name.git' } };
    expect(mainManifest(checkout)).toMatchObject(expected);
    expect(platformManifest(checkout, 'linux', 'arm64')).toMatchObject(expected);
  });

  test('keep what users need: dependencies, and those that they may add', () => {
    const { dependencies, peerDependencies, peerDependenciesMeta, ...others } = mainManifest(checkout);
    expect({ dependencies, peerDependencies, peerDependenciesMeta }).toEqual({
      dependencies: { a: '^1.0.0' },
      peerDependencies: { c: '^1.0.0' },
      peerDependenciesMeta: { c: { optional: true } },
    });
    expect(others).not.toHaveProperty('devDependencies');
    expect(others).not.toHaveProperty('scripts');
  });

  test('bind a platform package to its platform, and on Linux to glibc', () => {
    const linuxPackage = platformManifest(checkout, 'linux', 'arm64');
    expect(linuxPackage).toMatchObject({
      name: 'rnd1-linux-arm64',
      os: ['linux'],
      cpu: ['arm64'],
      libc: ['glibc'],
    });
    expect(platformManifest(checkout, 'darwin', 'arm64')).not.toHaveProperty('libc');
  });
});

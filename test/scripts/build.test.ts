import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findToolchain } from '../../scripts/toolchain';

const root = resolve(__dirname, '../..');

const addon = `#include <napi.h>
static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("answer", Napi::Number::New(env, 42));
  return exports;
}
NODE_API_MODULE(rnd1, init)
`;

const cmakeLists = `cmake_minimum_required(VERSION 3.18)
project(rnd1 LANGUAGES CXX)
add_library(rnd1 SHARED addon.cc)
set_target_properties(rnd1 PROPERTIES PREFIX "" SUFFIX ".node" CXX_STANDARD 20)
target_include_directories(rnd1 PRIVATE \${CMAKE_JS_INC})
target_compile_definitions(rnd1 PRIVATE NAPI_VERSION=8)
`;

// A checkout in miniature: the build scripts, and an addon that takes a second to compile.
function buildsWithCmake(): void {
  let checkout = '';
  let empty = '';

  function build(env: NodeJS.ProcessEnv = process.env): { status: number | null; printed: string } {
    const tsx = join(root, 'node_modules/tsx/dist/cli.mjs');
    const { status, stdout, stderr } = spawnSync(process.execPath, [tsx, 'scripts/build.ts', '--addon'], {
      cwd: checkout,
      env,
      encoding: 'utf8',
    });
    return { status, printed: stdout + stderr };
  }

  beforeAll(() => {
    checkout = mkdtempSync(join(tmpdir(), 'rnd1-checkout-'));
    empty = mkdtempSync(join(tmpdir(), 'rnd1-empty-'));
    mkdirSync(join(checkout, 'scripts'));
    cpSync(join(root, 'scripts'), join(checkout, 'scripts'), { recursive: true });
    cpSync(join(root, 'package.json'), join(checkout, 'package.json'));
    symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'), 'junction');
    writeFileSync(join(checkout, 'CMakeLists.txt'), cmakeLists);
    writeFileSync(join(checkout, 'addon.cc'), addon);
  });

  afterAll(() => {
    for (const folder of [checkout, empty]) rmSync(folder, { recursive: true, force: true });
  });

  test('builds an addon that loads, and says nothing when there is nothing to do', () => {
    expect(build()).toEqual({ status: 0, printed: expect.stringMatching(/^Building .* CMake.*\n$/) });
    const load = `process.stdout.write(String(require('./build/Release/rnd1.node').answer))`;
    expect(spawnSync(process.execPath, ['-e', load], { cwd: checkout, encoding: 'utf8' }).stdout).toBe('42');
    expect(build()).toEqual({ status: 0, printed: '' });
  });

  test("prints the compiler's error and no stack when the sources are wrong", () => {
    writeFileSync(join(checkout, 'addon.cc'), `${addon}int wrong = "text";\n`);
    const { status, printed } = build();
    expect(status).toBe(1);
    expect(printed).toMatch(/addon\.cc:7:\d+: error: /);
    expect(printed).toMatch(/The native addon did not build with CMake: see above\.\n$/);
    expect(printed).not.toMatch(/^\s+at /m);
    expect(printed).not.toContain('OMG');
    writeFileSync(join(checkout, 'addon.cc'), addon);
  });

  test('starts afresh in a folder that was built elsewhere', () => {
    writeFileSync(
      join(checkout, 'build', 'CMakeCache.txt'),
      'CMAKE_HOME_DIRECTORY:INTERNAL=/somewhere/else\n',
    );
    expect(build().status).toBe(0);
    expect(existsSync(join(checkout, 'build', 'Release', 'rnd1.node'))).toBe(true);
  });

  test('says what to install when there is no compiler', () => {
    const { status, printed } = build({ HOME: empty, PATH: empty });
    expect(status).toBe(1);
    expect(printed).toMatch(/^rnd1 needs a C\+\+20 compiler, make or ninja, and CMake to build/);
    expect(printed).not.toMatch(/^\s+at /m);
  });
}

if (findToolchain().cmake) {
  describe('the build script', buildsWithCmake);
} else {
  console.warn('The tests of the build script are SKIPPED on this machine: CMake is not installed.');
  test('the build script is tested only where CMake is installed', () => {
    expect(findToolchain().cmake).toBeNull();
  });
}

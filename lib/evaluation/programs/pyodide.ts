import { dirname } from 'node:path';
import { takenAway } from './driver';
import type { SandboxedCommand } from './sandbox';

/** Python: the function that runs a program, and the version. */
const setup = `
import builtins, faulthandler, os, platform, shutil, subprocess, sys

def run(program):
${takenAway.replaceAll(/^/gm, '    ')}
    for name in "js pyodide pyodide_js".split():
        sys.modules[name] = None
    try:
        exec(compile(program, "<string>", "exec"), {})
    except BaseException as error:
        return "failed " + type(error).__name__ + ": " + str(error)
    return "passed "

platform.python_version()
`;

/** Seconds that pyodide may take to start. */
const startTime = 60;

/** Emscripten's ENOSPC. */
const noSpace = 51;

/**
 * Runs one program in CPython for WebAssembly, which sees no file, process or socket of the machine. It can reach
 * JavaScript objects, therefore what these could do is taken away: files and processes by Node's permissions, code by V8,
 * connections and memory here. The request and the verdict are those of the other driver; a blank on descriptor 3 says
 * that the program begins.
 */
const driver = `
const fs = require('node:fs');
const { word, program, memory, file } = JSON.parse(fs.readFileSync(0, 'utf8'));
const report = (verdict) => fs.writeSync(3, JSON.stringify({ word, ...verdict }));
// Pyodide looks up constants there.
process.binding = () => ({ ...fs.constants, fs: fs.constants });
for (const name of ['getBuiltinModule', 'dlopen', 'kill', '_linkedBinding', 'mainModule']) process[name] = undefined;
for (const name of ['fetch', 'WebSocket', 'EventSource', 'Worker', 'XMLHttpRequest'])
  Object.defineProperty(globalThis, name, { value: undefined });
const { grow } = WebAssembly.Memory.prototype;
WebAssembly.Memory.prototype.grow = function (pages) {
  if (this.buffer.byteLength + 65536 * pages > memory) throw new RangeError('no more memory');
  return grow.call(this, pages);
};
(async () => {
  const { loadPyodide } = require(process.argv[1]);
  const python = await loadPyodide({
    jsglobals: Object.create(null),
    env: { OMP_NUM_THREADS: '1' },
    stdin: () => {
      throw new Error('standard input cannot be read');
    },
    stdout: () => {},
    stderr: () => {},
  });
  const version = python.runPython(${JSON.stringify(setup)});
  const run = python.globals.get('run');
  // Files are in memory, too.
  const { MEMFS } = python.FS.filesystems;
  let room = file;
  const limited = (owner, name, bytesOf) => {
    const act = owner[name];
    owner[name] = (...args) => {
      room -= bytesOf(...args);
      if (room < 0) throw new python.FS.ErrnoError(${noSpace});
      return act(...args);
    };
  };
  limited(MEMFS.ops_table.file.stream, 'write', (stream, buffer, offset, length) => length);
  limited(MEMFS, 'resizeFileStorage', (node, bytes) => bytes);
  fs.writeSync(3, ' ');
  const text = run(program);
  report({ kind: text.slice(0, 6), message: text.slice(7, 400), python: version });
  process.exit(0);
})().catch((error) => {
  report({ kind: 'failed', message: String(error.message).trim().slice(-400), python: '' });
  process.exit(1);
});
`;

/** A command that runs programs by the package pyodide; null if it is not installed. */
export function pyodideCommand(): SandboxedCommand | null {
  let entry: string;
  try {
    entry = require.resolve('pyodide');
  } catch {
    return null;
  }
  const known = process.allowedNodeEnvironmentFlags;
  const permission = known.has('--permission') ? '--permission' : '--experimental-permission';
  const limits = [permission, `--allow-fs-read=${dirname(entry)}`, '--disallow-code-generation-from-strings'];
  return { command: process.execPath, args: ['--no-warnings', ...limits, '-e', driver, entry], startTime };
}

import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ProgramRunner } from '../../../lib/evaluation/programs/program-runner';
import { evaluationFolder } from '../../support/evaluation';

interface Row {
  readonly program: string;
  readonly passed: boolean;
  readonly kind: string;
}

const { rows } = JSON.parse(readFileSync(join(evaluationFolder, 'golden', 'code-exec.json'), 'utf8')) as {
  readonly rows: readonly Row[];
};

/** With so much time that only what is tested ends a program, and with a second. */
let runner: ProgramRunner;
let hurried: ProgramRunner;
beforeAll(async () => {
  runner = await ProgramRunner.open({ sandbox: 'pyodide', seconds: 30 });
  hurried = await ProgramRunner.open({ sandbox: 'pyodide', seconds: 1 });
}, 60_000);
afterAll(async () => {
  await runner?.close();
  await hurried?.close();
});

test('verdicts are those of the reference', async () => {
  // Each takes seconds; WebAssembly has no threads.
  const some = rows
    .filter(({ program }, i) => i % 9 === 0 && !program.includes('threading'))
    .map(({ program, passed, kind }) => ({ program, passed, kind }));
  expect(new Set(some.map(({ kind }) => kind)).size).toBeGreaterThan(1);
  expect(runner.version).toMatch(/^3\.\d+\.\d+/);
  const verdicts = await Promise.all(
    some.map(({ program, kind }) => (kind === 'timed out' ? hurried : runner).run(program)),
  );
  expect(verdicts.map(({ passed, kind }, i) => ({ program: some[i]?.program, passed, kind }))).toEqual(some);
}, 120_000);

test('sleeping', async () => {
  expect(await hurried.run('import time\ntime.sleep(1000)')).toEqual({
    passed: false,
    kind: 'timed out',
    message: 'it was ended by SIGKILL',
  });
}, 60_000);

test.each([
  ['all memory', 'parts = [bytes(2**27) for _ in range(20)]', 'failed', /MemoryError/],
  [
    'a huge file',
    "file = open('big', 'wb')\nwhile True: file.write(bytes(10**6))",
    'failed',
    /No space left/,
  ],
  ['the machine’s files', "open('/etc/passwd')", 'failed', /No such file/],
  ['JavaScript', 'import js', 'failed', /ModuleNotFoundError/],
  ['the end of the process', 'import os\nos._exit(0)', 'failed', /exit/],
])(
  '%s',
  async (_, program, kind, message) => {
    expect(await runner.run(program)).toEqual({
      passed: false,
      kind,
      message: expect.stringMatching(message),
    });
  },
  60_000,
);

test('nor does another way to JavaScript run code', async () => {
  const program = `
import sys
sys.modules.pop("js"), sys.modules.pop("pyodide"), sys.modules.pop("pyodide_js")
import pyodide_js
pyodide_js.constructor.constructor("return process")().exit(0)`;
  expect(await runner.run(program)).toMatchObject({
    passed: false,
    message: expect.stringContaining('Code generation from strings disallowed'),
  });
  const host = `
import sys
sys.modules.pop("pyodide_js")
from pyodide_js import FS
FS.mkdir("/host")
FS.mount(FS.filesystems.NODEFS, {"root": "/"}, "/host")
assert open("/host/etc/passwd").read() != ""`;
  expect(await runner.run(host)).toMatchObject({ passed: false });
}, 60_000);

test('the network and the environment are out of reach', async () => {
  let connections = 0;
  const server = createServer(() => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  process.env.RND1_SECRET = 'secret';
  try {
    const connect = `import socket\nsocket.create_connection(('127.0.0.1', ${port}), 1).send(b'x')`;
    expect((await runner.run(connect)).kind).not.toBe('passed');
    const names = "import os\nassert not any('SECRET' in name for name in os.environ)";
    expect(await runner.run(names)).toMatchObject({ passed: true });
  } finally {
    delete process.env.RND1_SECRET;
    await new Promise((resolve) => server.close(resolve));
  }
  expect(connections).toBe(0);
}, 60_000);

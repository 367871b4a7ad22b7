import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { system } from '../../lib';
import { addonFile } from '../../scripts/addon';
import { root } from '../../scripts/command';
import { makeNodeKit, type NodeKit } from '../../scripts/gpu-kit/node-kit';
import { findProgram } from '../../scripts/toolchain';

// The kit as a machine without Node gets it, but for Node itself: a script in its place starts the one that is here.
function runsAnywhere(): void {
  let scratch = '';
  let folder = '';
  let kit: NodeKit;

  function run(env: Readonly<Record<string, string>>) {
    const out = mkdtempSync(join(scratch, 'out-'));
    const { status, stdout, stderr } = spawnSync('bash', [join(folder, 'run.sh'), out], {
      cwd: '/',
      env: { PATH: process.env.PATH, RND1_TEST_DEVICE: 'cpu', RND1_TIME_LIMIT: '60', ...env },
      encoding: 'utf8',
    });
    const read = (name: string) => readFileSync(join(out, 'node', name), 'utf8');
    const lines = read('results.tsv').split('\n').slice(0, -1);
    const verdicts = lines.map((line) => line.split('\t').slice(0, 2).join(' '));
    return { status, printed: stdout + stderr, verdicts, log: (name: string) => read(`${name}.log`) };
  }

  const plant = (name: string, program: string) =>
    writeFileSync(join(folder, 'test', 'model', `planted-${name}.test.js`), program);

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'rnd1-node-kit-'));
    folder = join(scratch, 'kit');
    const node = join(scratch, 'node');
    writeFileSync(node, `#!/bin/sh\nexec '${process.execPath}' "$@"\n`);
    chmodSync(node, 0o755);
    kit = await makeNodeKit({ folder, addon: addonFile, node, effort: 0 });
  });

  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test('says what is in it', () => {
    const paths = kit.parts.map(({ path }) => path);
    for (const path of ['node.xz', 'build/Release/rnd1.node.xz', 'data.tar.xz', 'run.sh', 'model-tests.js'])
      expect(paths).toContain(path);
    expect(kit.packedBytes).toBeLessThan(kit.bytes);
    expect(kit.packedBytes).toBeLessThan(36e6);
  });

  test('runs test files and a whole model', () => {
    const { status, printed, verdicts, log } = run({ RND1_ONLY: 'errors|quantized|stochastic|whole' });
    expect(printed).toMatch(/^cpu: Node v/);
    expect(printed).toMatch(/\n4 passed, 0 failed\n$/);
    expect(verdicts).toEqual([
      'errors passed',
      'quantized passed',
      'stochastic passed',
      'whole-model passed',
    ]);
    expect(status).toBe(0);
    expect(log('errors')).toMatch(/✔ prefix longer than seq_len .*\n(.*\n)*.* tests 16\n/);
    expect(log('quantized')).toMatch(/✔ q4 gives the same bits with any number of threads/);
    expect(log('stochastic')).toMatch(/✔ with entropy and 30 steps can be recomputed round by round/);
    const result = JSON.parse(/^\{.*\}$/m.exec(log('whole-model'))?.[0] ?? '');
    expect(result).toMatchObject({ model: 'nano', device: 'cpu', dtype: 'bf16', same: true });
    expect(result.stepMilliseconds).toBeGreaterThan(0);
  });

  test('takes golden data from a checkout where it has none', () => {
    for (const path of ['data.tar.xz', 'test/fixtures', 'models'])
      rmSync(join(folder, path), { recursive: true });
    expect(run({ RND1_ONLY: 'errors' })).toMatchObject({
      status: 3,
      printed: expect.stringContaining('no golden data'),
    });
    expect(run({ RND1_ONLY: 'errors', RND1_CHECKOUT: root })).toMatchObject({
      status: 0,
      verdicts: ['errors passed'],
    });
  });

  test('goes on after a failure, a crash and a hang', () => {
    plant('crash', "process.kill(process.pid, 'SIGSEGV'); setInterval(() => {}, 1000);");
    plant('failure', "require('node:test').test('planted', () => { throw new Error('as planted'); });");
    plant('hang', 'setInterval(() => {}, 1000);');
    plant('success', "require('node:test').test('planted', () => {});");
    const { status, printed, verdicts } = run({
      RND1_ONLY: '^planted',
      RND1_TIME_LIMIT: '4',
      RND1_CHECKOUT: root,
    });
    expect(verdicts).toEqual([
      'planted-crash FAILED',
      'planted-failure FAILED',
      'planted-hang TIMEOUT',
      'planted-success passed',
    ]);
    expect(printed).toMatch(/ended by signal 11\n/);
    expect(printed).toMatch(/Error: as planted\n/);
    expect(printed).toMatch(/\n1 passed, 3 failed\n$/);
    expect(status).toBe(1);
  });

  test('says why there is no such GPU', () => {
    const { gpus, cudaUnavailable } = system();
    const device = gpus.length === 0 ? 'cuda' : 'cuda:99';
    const { status, printed } = run({ RND1_TEST_DEVICE: device });
    expect(printed).toBe(`cannot run: there is no ${device}: ${cudaUnavailable ?? 'there are fewer GPUs'}\n`);
    expect(status).toBe(3);
  });
}

const missing = ['bash', 'xz', 'tar', 'timeout'].filter((name) => findProgram(name) === null);
if (missing.length === 0) {
  describe('the kit for machines without Node', runsAnywhere);
} else {
  console.warn(`The kit for machines without Node is NOT tested here: ${missing.join(', ')} not installed.`);
  test('the kit for machines without Node is tested only where its tools are', () => {
    expect(missing).not.toEqual([]);
  });
}

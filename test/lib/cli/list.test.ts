import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeTwin } from '../../support/instruct-twin';
import { Terminal } from './pty';
import { rnd1, scratchFolder } from './rnd1';

const scratch = scratchFolder();
const commit = 'a'.repeat(40);
const inCache = (cache: string, name: string) => join(cache, `models--${name.replace('/', '--')}`);

/** A cache with a model that works, an unfinished one, and one that is not supported. */
function fill(name: string): string {
  const cache = scratch(name);
  writeTwin(join(inCache(cache, 'org/good'), 'snapshots', commit));
  mkdirSync(join(inCache(cache, 'org/half'), 'blobs'), { recursive: true });
  writeFileSync(join(inCache(cache, 'org/half'), 'blobs', 'f00'), 'x'.repeat(3000));
  const other = join(inCache(cache, 'bert-base'), 'snapshots', commit);
  writeTwin(other, { config: { model_type: 'bert' } });
  return cache;
}

describe('rnd1 list', () => {
  test('shows family, weights, size, and whether a model fits', async () => {
    const cache = fill('list');
    const { code, stdout, stderr } = await rnd1(['list', '--cache-dir', cache]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.split('\n').map((line) => line.replaceAll(/ {2,}/g, ' | '));
    expect(lines[0]).toBe('model | family | weights | on disk | fits');
    expect(lines[1]).toMatch(/^bert-base \| – \| – \| [\d.]+ kB \| cannot be loaded$/);
    expect(lines[2]).toMatch(/^org\/good \| LLaDA-MoE \| bf16 \| [\d.]+ kB \| yes$/);
    expect(lines[3]).toBe('org/half | – | – | 3.00 kB | incomplete');
    expect(lines[5]).toMatch(/^[\d.]+ [MGT]B of [\d.]+ [MGT]B of memory are free$/);
  });

  test('prints JSON, with the reason why a model cannot be loaded', async () => {
    const { stdout } = await rnd1(['list', '--json', '--cache-dir', fill('json')]);
    const { memory, models } = JSON.parse(stdout);
    expect(memory.total).toBeGreaterThan(memory.free / 2);
    expect(models).toMatchObject([
      { name: 'bert-base', family: null, fits: null, problem: expect.stringContaining('model_type') },
      { name: 'org/good', family: 'llada-moe', weights: 'bf16', fits: 'yes', problem: null },
      { name: 'org/half', family: null, fits: null, problem: 'incomplete', snapshots: [] },
    ]);
    expect(models[1].weightBytes).toBeLessThan(models[1].bytes);
  });

  test('of an empty cache says so', async () => {
    const { code, stdout } = await rnd1(['list'], { env: { HF_HUB_CACHE: scratch('empty') } });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^no models in the cache\n/);
  });
});

describe('rnd1 remove', () => {
  test('deletes the models that it names', async () => {
    const cache = fill('remove');
    const args = ['remove', 'org/good', 'bert-base', '--yes', '--cache-dir', cache];
    const { code, stdout } = await rnd1(args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^removed org\/good, [\d.]+ kB\nremoved bert-base, [\d.]+ kB\n$/);
    expect(existsSync(inCache(cache, 'org/good'))).toBe(false);
    expect(existsSync(inCache(cache, 'org/half'))).toBe(true);
  });

  test('deletes nothing without --yes, or if a name is wrong', async () => {
    const cache = fill('kept');
    const unasked = await rnd1(['remove', 'org/good', '--cache-dir', cache]);
    expect(unasked).toMatchObject({ code: 2, stdout: '' });
    expect(unasked.stderr).toContain('remove needs --yes where it cannot ask');
    const wrong = await rnd1(['remove', 'org/good', 'org/hafl', '--yes', '--cache-dir', cache]);
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toContain("'org/hafl' is not in the cache: did you mean org/half?");
    expect((await rnd1(['remove', '--yes'])).code).toBe(2);
    expect(existsSync(inCache(cache, 'org/good'))).toBe(true);
  });

  const inTerminal = process.platform === 'linux' ? test.each : test.skip.each;
  inTerminal([
    ['y\r', 0, false],
    ['\r', 1, true],
    ['n\r', 1, true],
    ['\x03', 1, true],
    ['\x04', 1, true],
  ])('asks in a terminal: %j', async (typed, code, kept) => {
    const cache = fill(`asked-${Buffer.from(typed).toString('hex')}`);
    const terminal = new Terminal(['remove', 'org/good', '--cache-dir', cache]);
    await terminal.until('Delete org/good (');
    await terminal.until('? [y/N] ');
    terminal.type(typed);
    expect(await terminal.closed).toBe(code);
    expect(existsSync(inCache(cache, 'org/good'))).toBe(kept);
  });
});

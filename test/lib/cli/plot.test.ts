import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { plot } from '../../../lib/training';
import { rnd1 } from './rnd1';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-plot-'));
  mkdirSync(join(folder, 'run'));
  const lines = [1, 2, 3].map((step) => `{"step":${step},"tokens":${8 * step},"loss":${4 / step}}\n`);
  writeFileSync(join(folder, 'run', 'metrics.jsonl'), lines.join(''));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('writes the SVG of the library, to a file or to standard output', async () => {
  const [run, out] = [join(folder, 'run'), join(folder, 'loss.svg')];
  const flags = ['--value', 'loss', '--x', 'tokens', '--smooth', '0.5', '--log', '--title', 'a b'];
  const size = ['--width', '300', '--height', '200'];
  const svg = await plot([run], {
    value: 'loss',
    x: 'tokens',
    smooth: 0.5,
    logScale: true,
    title: 'a b',
    width: 300,
    height: 200,
  });
  expect(await rnd1(['plot', run, '-o', out, ...flags, ...size])).toEqual({
    code: 0,
    stdout: `${out}: 1 run\n`,
    stderr: '',
  });
  expect(readFileSync(out, 'utf8')).toBe(`${svg}\n`);
  expect(readdirSync(folder).sort()).toEqual(['loss.svg', 'run']);
  const piped = await rnd1(['plot', run, ...flags, ...size]);
  expect(piped).toEqual({ code: 0, stdout: `${svg}\n`, stderr: '' });
});

test('errors have their exit codes, and write nothing', async () => {
  const out = join(folder, 'none.svg');
  const run = join(folder, 'run');
  const failed = await rnd1(['plot', run, '-o', out]);
  expect(failed).toMatchObject({ code: 1, stdout: '' });
  expect(failed.stderr).toMatch(/^rnd1: there is no masked_ce to draw in .*run\n$/);
  expect(await rnd1(['plot', run, '--value', 'accuracy'])).toMatchObject({ code: 2, stdout: '' });
  expect(await rnd1(['plot'])).toMatchObject({ code: 2, stdout: '' });
  const missing = await rnd1(['plot', run, '--value', 'loss', '-o', join(folder, 'no', 'x.svg')]);
  expect(missing).toMatchObject({ code: 1, stdout: '' });
  expect(missing.stderr).toContain(join('no', 'x.svg'));
  expect(readdirSync(folder)).not.toContain('none.svg');
});

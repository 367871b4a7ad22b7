import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { plot } from '../../lib/training';
import { RunLog } from '../../lib/training/metrics/run-log';
import { smoothed } from '../../lib/training/metrics/smooth';
import { evaluationEvent, stepEvent } from './events';

let folder = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-plot-'));
  await run('ar', 300, 1);
  await run('scp', 200, 2);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (...names: string[]) => join(folder, ...names);

async function run(name: string, steps: number, scale: number): Promise<void> {
  mkdirSync(at(name), { recursive: true });
  const log = await RunLog.open(at(name), { tensorBoard: false });
  for (let step = 1; step <= steps; step++) {
    const loss = scale * (1 + 50 / (step + 5) + 0.1 * Math.sin(step * step));
    await log.write(stepEvent(step, { loss, maskedCrossEntropy: loss }));
    if (step % 100 === 0) await log.write(evaluationEvent(step));
  }
  await log.close();
}

/** Curves and points of an SVG, by colour. */
function shapes(svg: string) {
  const paths = [...svg.matchAll(/<path [^>]*>/g)].map(([path]) => path);
  const blue = paths.filter((path) => path.includes('#0072b2'));
  const orange = paths.filter((path) => path.includes('#d55e00'));
  const curves = (of: string[]) => of.filter((path) => path.includes('fill="none"'));
  return { blue, orange, curves };
}

test('the average has no pull towards 0, and follows the series', () => {
  expect(smoothed([4, 4, 4], 0.9)).toEqual([4, 4, 4].map((value) => expect.closeTo(value, 12)));
  expect(smoothed([1, 3], 0.5)).toEqual([1, expect.closeTo((0.5 * 1 + 1 * 3) / 1.5, 12)]);
  expect(smoothed([1, 5, 2], 0)).toEqual([1, 5, 2]);
  expect(smoothed([], 0.9)).toEqual([]);
});

test('runs are curves of their colours, with a legend, axes and points of evaluations', async () => {
  const svg = await plot([at('ar'), at('scp', 'metrics.jsonl')], { title: 'Two' });
  expect(svg).toMatch(/^<svg width="900" height="520"/);
  for (const text of ['>Two<', '>ar<', '>scp<', '>steps<', '>cross entropy of scored positions, nats<'])
    expect(svg).toContain(text);
  expect(svg).toContain('thin: each step, thick: moving average (0.9), points: evaluation');
  const { blue, orange, curves } = shapes(svg);
  for (const paths of [blue, orange]) {
    expect(curves(paths).map((path) => /stroke-opacity="0.25"/.test(path))).toEqual([true, false]);
    expect(curves(paths)[1]).toContain('stroke-width="2"');
  }
  // Of the legend one, of evaluations one each.
  expect(blue.length - 2).toBe(1 + 3);
  expect(orange.length - 2).toBe(1 + 2);
});

test('the same metrics give the same text, in a process that has drawn others, too', async () => {
  const first = await plot([at('ar')]);
  await plot([at('scp')], { value: 'grad_norm' });
  expect(await plot([at('ar')])).toBe(first);
  expect(await plot([at('ar')], { smooth: 0.5 })).not.toBe(first);
});

test('options: value, axis, smoothing, scale, size', async () => {
  const rate = await plot([at('ar')], { value: 'learning_rate', x: 'tokens', width: 400, height: 300 });
  expect(rate).toMatch(/^<svg width="400" height="300"/);
  expect(rate).toContain('>tokens<');
  expect(rate).toContain('>1M<');
  expect(rate).toContain('>learning rate<');
  expect(rate).not.toContain('moving average');
  const { blue, curves } = shapes(await plot([at('ar')], { value: 'masked_ce', smooth: 0 }));
  expect(curves(blue)).toHaveLength(1);
  const points = shapes(await plot([at('ar')], { value: 'eval_loss' }));
  expect(points.curves(points.blue)).toHaveLength(0);
  expect(points.blue).toHaveLength(1 + 3);
  const log = await plot([at('ar')], { logScale: true });
  for (const tick of ['>1<', '>2<', '>4<', '>8<']) expect(log).toContain(tick);
});

test('a run that is being written is drawn as far as it is', async () => {
  await run('torn', 10, 1);
  const whole = await plot([at('torn')]);
  appendFileSync(at('torn', 'metrics.jsonl'), '{"step":11,"masked');
  expect(await plot([at('torn')])).toBe(whole);
  appendFileSync(at('torn', 'metrics.jsonl'), '\n{"step":12}\n');
  await expect(plot([at('torn')])).rejects.toMatchObject({
    code: 'invalid_data',
    message: expect.stringMatching(/metrics\.jsonl:11 is not a line of a run's metrics$/),
  });
});

test('names are as long as tells them apart, and cannot be markup', async () => {
  const odd = '<script>&\x1b';
  await run(join('a', 'x'), 5, 1);
  await run(join('b', 'x'), 5, 1);
  await run(odd, 5, 1);
  const svg = await plot([at('a', 'x'), at('b', 'x'), at(odd)], { title: '<b>"&' });
  expect(svg).toContain('>a/x<');
  expect(svg).toContain('>b/x<');
  expect(svg).toContain('&lt;script&gt;&amp;␛<');
  expect(svg).toContain('>&lt;b&gt;');
  expect(svg).not.toContain('<script');
  const same = await plot([at('a', 'x'), at('a', 'x')]);
  expect(same).toContain('>x<');
});

describe('errors', () => {
  const failure = (code: string, message: RegExp) => ({ code, message: expect.stringMatching(message) });

  test('no such run, a folder without metrics, a file of something else', async () => {
    await expect(plot([at('none')])).rejects.toMatchObject(failure('io', /cannot read .*none/));
    mkdirSync(at('empty'));
    await expect(plot([at('empty')])).rejects.toMatchObject(failure('io', /empty.metrics\.jsonl/));
    writeFileSync(at('other'), 'hello\n');
    await expect(plot([at('other')])).rejects.toMatchObject(
      failure('invalid_data', /other:1 is not a line of a run's metrics$/),
    );
  });

  test('values that no run has', async () => {
    // Of evaluations only.
    expect(shapes(await plot([at('ar'), at('scp')], { value: 'elbo' })).blue).toHaveLength(1 + 3);
    await run('short', 5, 1);
    await expect(plot([at('short')], { value: 'eval_loss' })).rejects.toMatchObject(
      failure('invalid_data', /^there is no eval_loss to draw in .*short$/),
    );
    await expect(plot([at('short')], { value: 'z', logScale: true })).rejects.toMatchObject(
      failure('invalid_data', /no z to draw/),
    );
  });

  test('wrong options', async () => {
    const wrong = async (options: object) => plot([at('ar')], options as never);
    await expect(wrong({ value: 'accuracy' })).rejects.toThrow(/^value must be one of 'loss', /);
    await expect(wrong({ smoth: 1 })).rejects.toThrow("did you mean 'smooth'?");
    await expect(wrong({ smooth: 1 })).rejects.toThrow(/^smooth must be /);
    await expect(wrong({ width: 10 })).rejects.toThrow(/^width must be an integer from 200/);
    await expect(wrong({ x: 'time' })).rejects.toThrow(/^x must be one of/);
    await expect(plot([])).rejects.toThrow('runs must be a list of folders, not []');
    await expect(plot('ar' as never)).rejects.toThrow("runs must be a list of folders, not 'ar'");
  });

  test('the package that draws is missing', async () => {
    jest.resetModules();
    jest.doMock('echarts', () => {
      throw Object.assign(new Error("Cannot find module 'echarts'"), { code: 'MODULE_NOT_FOUND' });
    });
    const { plot: bare } = require('../../lib/training/metrics/plot') as typeof import('../../lib/training');
    await expect(bare([at('ar')])).rejects.toMatchObject(
      failure('not_found', /^plots need the package echarts, .*: npm install echarts$/),
    );
    jest.dontMock('echarts');
  });
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiffusionLM } from '../../../lib';
import { EvaluationFolder, evaluate, evaluationReport } from '../../../lib/evaluation';
import { calibrationOf } from '../../../lib/evaluation/report/calibration';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-report-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The SVG of the images of a page. */
const pictures = (html: string) =>
  [...html.matchAll(/<img alt="([^"]+)" src="data:image\/svg\+xml;base64,([^"]+)">/g)].map(
    ([, alt, data]) => [alt, Buffer.from(data as string, 'base64').toString()] as const,
  );

const arc = async () =>
  [
    ['47+38', '85', '84'],
    ['9+9', '18', '19'],
  ].map(([sum, right, wrong]) => ({
    question: `What is ${sum}?`,
    choices: { label: ['A', 'B'], text: [right, wrong] },
    answerKey: 'A',
  }));

test('a page with a table, bars of groups, speed and calibration', async () => {
  await using model = await DiffusionLM.load({ dtype: 'f32' });
  const folders = [];
  for (const steps of [8, 2]) {
    const path = join(folder, `steps <${steps}>`);
    const results = await EvaluationFolder.open(path, { model: `nano & ${steps}` });
    const options = { tasks: ['nano', 'arc_challenge'], data: arc, limit: 3, generation: { steps } };
    await results.finish(await evaluate(model, { ...options, likelihood: { samples: 16 } }));
    await results.close();
    folders.push(path);
  }
  const html = await evaluationReport(folders);
  expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
  expect(html).toContain('<th>steps &lt;8&gt;</th><th>steps &lt;2&gt;</th>');
  expect(html).toContain('&quot;model&quot;: &quot;nano &amp; 8&quot;');
  expect(html).toMatch(/<tr><th>nano_add<\/th><td>exact_match<\/td><td>100\.0 <small>± 0\.0<\/small>/);
  expect(html).toMatch(
    /<tr><th>arc_challenge<\/th><td>acc<\/td><td>[\d.]+ <small>± [\d.]+<\/small><small><\/small>/,
  );
  expect(html).toMatch(/steps &lt;8&gt;: expected calibration error [\d.]+ % over 2 documents/);
  expect(html).not.toMatch(/steps <|undefined|NaN/);
  const images = pictures(html);
  expect(images.map(([alt]) => alt)).toEqual([
    'scores of the members of nano',
    'right answers by tokens per forward pass',
    'right choices by probability',
  ]);
  for (const [, svg] of images) {
    expect(svg).toMatch(/^<svg [\s\S]*<\/svg>$/);
    expect(svg).not.toContain('NaN');
    expect(svg).toContain('steps &lt;2&gt;');
  }
  expect(images[0]?.[1]).toContain('100.0 ± 0.0');
  expect(images[0]?.[1]).toContain('nano_sudoku_6x6_hard');
  // The same results give the same page.
  expect(await evaluationReport(folders)).toBe(html);
  const twice = await evaluationReport([folders[0] as string, folders[0] as string]);
  expect(twice).toContain('<th>steps &lt;8&gt; (1)</th><th>steps &lt;8&gt; (2)</th>');
});

test('what is no folder of results is named', async () => {
  await expect(evaluationReport([join(folder, 'missing')])).rejects.toThrow(
    /missing\/results\.json cannot be read/,
  );
  const other = join(folder, 'other');
  mkdirSync(other);
  for (const [text, message] of [
    ['{', /other\/results\.json: /],
    ['null', /these are no results of `rnd1 eval`/],
    ['{"results": {}, "versions": {}}', /these are no results of `rnd1 eval`/],
  ] as const) {
    writeFileSync(join(other, 'results.json'), text);
    await expect(evaluationReport([other])).rejects.toThrow(message);
  }
});

describe('calibration', () => {
  const sample = (acc: number, ...likelihoods: number[]) => ({
    acc,
    resps: likelihoods.map((value) => [[value, false]]),
  });

  test('compares the probability of the choice with how often it is right', () => {
    const sure = Math.log(9);
    const { bins, error, documents } = calibrationOf([
      sample(1, sure, 0),
      sample(1, 0, sure),
      sample(0, sure, 0),
      sample(0, 0, 0),
    ]) as NonNullable<ReturnType<typeof calibrationOf>>;
    expect(documents).toBe(4);
    expect(bins).toEqual([
      { confidence: 0.5, accuracy: 0, documents: 1 },
      { confidence: expect.closeTo(0.9), accuracy: expect.closeTo(2 / 3), documents: 3 },
    ]);
    expect(error).toBeCloseTo((3 * (0.9 - 2 / 3) + 0.5) / 4);
  });

  test('survives likelihoods far below 0, and leaves out what are no choices', () => {
    expect(calibrationOf([sample(1, -2000, -3000)])?.bins).toEqual([
      { confidence: 1, accuracy: 1, documents: 1 },
    ]);
    expect(calibrationOf([{ resps: [['text']], exact_match: 1 }])).toBeNull();
    expect(calibrationOf([])).toBeNull();
  });
});

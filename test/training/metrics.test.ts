import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppendedFile } from '../../lib/support/appended-file';
import { RunLog } from '../../lib/training/metrics/run-log';
import { evaluationEvent, stepEvent } from './events';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-metrics-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = () => join(folder, 'metrics.jsonl');
const lines = () =>
  readFileSync(file(), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

async function logSteps(steps: readonly number[], resumeStep?: number): Promise<void> {
  const log = await RunLog.open(folder, { resumeStep, tensorBoard: false });
  for (const step of steps) await log.write(stepEvent(step));
  await log.close();
}

test('a step is a line with the names of the specification', async () => {
  const log = await RunLog.open(folder, { tensorBoard: false });
  const noise = { canvases: 12, tokens: 768, scored: null, groups: { mlp: 5 } };
  await log.write(stepEvent(2, { gradientNorm: Infinity, noiseScale: noise }));
  await log.write(evaluationEvent(2));
  await log.write({ type: 'warning', step: 2, message: 'not of the log' });
  await log.sync();
  expect(lines()).toEqual([
    {
      step: 2,
      epoch: 0.02,
      tokens: 8192,
      loss: 2.5,
      masked_ce: 1.5,
      elbo: null,
      loss_by_t: [0.5, null],
      aux: 1.25,
      z: 0,
      grad_norm: null,
      clipped: true,
      applied: true,
      learning_rate: 1e-3,
      lr: { attention: 1e-3, mlp: 1e-4 },
      expert_load_min: { 3: 0.25 },
      expert_load_max: { 3: 2 },
      tokens_per_second: 12_345.6,
      step_ms: { data: 1, forward: 100, backward: 200, optimizer: 30, total: 332 },
      memory: 1e9,
      noise_scale: noise,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    },
    {
      step: 2,
      tokens: 8192,
      eval_loss: 2.5,
      eval_masked_ce: 1.5,
      eval_loss_by_t: [1, 2],
      eval_ms: 50,
      time: expect.any(String),
    },
  ]);
  await log.close();
  expect(readdirSync(folder)).toEqual(['metrics.jsonl']);
});

test('a resumed run has each step once, whatever an interruption has left', async () => {
  await logSteps([1, 2, 3, 4]);
  // Zeros of a power cut, a line that is no event, and one that kill −9 has torn.
  appendFileSync(file(), '\0\0\0\n"text"\n{"step":3,"los');
  await logSteps([3, 4, 5], 2);
  expect(lines().map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
  expect(readdirSync(folder)).toEqual(['metrics.jsonl']);
});

test('a torn line of an old step goes, too', async () => {
  await logSteps([1, 2]);
  const text = readFileSync(file(), 'utf8');
  // Whole JSON, but the next line would be appended to it.
  writeFileSync(file(), text.slice(0, -1));
  await logSteps([2], 2);
  expect(lines().map(({ step }) => step)).toEqual([1, 2]);
});

test('a run that begins anew has no old steps, and one whose metrics are lost goes on', async () => {
  await logSteps([1, 2]);
  await logSteps([1], -1);
  expect(lines().map(({ step }) => step)).toEqual([1]);
  rmSync(file());
  await logSteps([8], 7);
  expect(lines().map(({ step }) => step)).toEqual([8]);
});

test('many lines survive', async () => {
  const old = Array.from({ length: 5003 }, (_, i) => `{"step":${i + 1},"text":"é"}\n`);
  writeFileSync(file(), old.join(''));
  await logSteps([], 5001);
  expect(readFileSync(file(), 'utf8')).toBe(old.slice(0, 5001).join(''));
});

describe('errors are io, and name the file', () => {
  const refused = (message: unknown) => expect.objectContaining({ code: 'io', message });

  test('metrics of another run', async () => {
    await logSteps([1]);
    await expect(RunLog.open(folder)).rejects.toEqual(refused(expect.stringContaining(file())));
    expect(lines()).toHaveLength(1);
  });

  test('no such folder', async () => {
    const missing = join(folder, 'missing');
    await expect(RunLog.open(missing)).rejects.toEqual(refused(expect.stringContaining(missing)));
  });

  test('a folder of that name', async () => {
    mkdirSync(file());
    await expect(RunLog.open(folder, { resumeStep: 1 })).rejects.toEqual(
      refused(expect.stringContaining(file())),
    );
  });

  const full = process.platform === 'linux' ? test : test.skip;
  full('a full disk', async () => {
    symlinkSync('/dev/full', file());
    const opened = await AppendedFile.open(file(), { fresh: false });
    await expect(opened.append(Buffer.from('{}\n'))).rejects.toEqual(
      refused(expect.stringMatching(/^cannot write .*metrics\.jsonl: ENOSPC/)),
    );
    await opened.close();
  });
});

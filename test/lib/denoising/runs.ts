import type { TokenFrame, TokenOptions } from '../../../lib/api/types';
import { buildCanvas, type CanvasModel } from '../../../lib/denoising/canvas';
import { denoise } from '../../../lib/denoising/loop';
import type { Denoising } from '../../../lib/denoising/pass';
import { tokenRun } from '../../../lib/denoising/run';
import { readSampling } from '../../../lib/denoising/sampling-options';
import { Batcher } from '../../../lib/runtime/batcher';
import { FakeFlag, FakeSession } from '../runtime/fake-session';

export const vocabulary = 24;
const model: CanvasModel = {
  vocabulary,
  maxPositions: 128,
  maxNewTokens: 64,
  causal: false,
  special: { mask: 7, eos: [5], pad: 3, bos: null },
  ends: [5],
  reserveEnd: true,
};

export function runOf(options: TokenOptions, defaultSteps = 64): Denoising {
  const canvas = buildCanvas(options, model);
  const sampling = readSampling(options);
  const steps = sampling.steps ?? Math.min(defaultSteps, canvas.masked.length);
  const run = tokenRun(canvas, { sampling, cache: null }, options, model);
  return { ...run, sampling: { ...sampling, steps }, attentionBlock: 0, modelShift: 1 as const };
}

/** The frames of a call on a small synthetic model. */
export function start(options: TokenOptions, session = new FakeSession(vocabulary)) {
  const batcher = new Batcher(session, () => new FakeFlag());
  return denoise(runOf(options), (canvas, signal) => batcher.step(canvas, signal));
}

/** All frames, the result, and the steps that the session received. */
export async function play(options: TokenOptions, session = new FakeSession(vocabulary)) {
  const frames: TokenFrame[] = [];
  const generator = start(options, session);
  for (;;) {
    const next = await generator.next();
    if (next.done) return { frames, result: next.value, session };
    frames.push(next.value);
  }
}

export const committedOf = (frames: readonly TokenFrame[]) =>
  frames.map(({ step, committed }) => [step, [...committed]]);

/** Positions 3 to 14 are to fill; the last one is reserved. */
export const prompt = { prefix: [10, 11, 12], maxNewTokens: 13 };

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DiffusionLM, Schedule } from '../../lib';
import type { GoldenText, NanoGolden } from '../../models/nano-training/golden-file';
import { closeModels, nanoFolder, openModel } from '../support/models';
import { maxAbsoluteError } from '../support/tolerance';

/** Largest absolute error of logits: five times that of f32 with sums in another order. */
const logitTolerance = 1.25e-4;

const golden = JSON.parse(readFileSync(join(nanoFolder, 'golden.json'), 'utf8')) as NanoGolden;
const settingsOf = ({ max_new_tokens, steps, eb_gamma }: GoldenText) => ({
  maxNewTokens: max_new_tokens,
  steps,
  schedule: (eb_gamma === null ? 'entropy' : { type: 'entropy-bounded', gamma: eb_gamma }) as Schedule,
});

describe('the embedded model', () => {
  let model: DiffusionLM;
  beforeAll(async () => {
    model = await openModel({ checkpoint: nanoFolder });
  });
  afterAll(closeModels);

  it.each(golden.generate)('answers $question by $schedule with the recorded tokens', async (call) => {
    const prefix = [...Buffer.from(call.prompt)];
    const options = { ...settingsOf(call), temperature: 1, greedy: true };
    const { tokens, forwards } = await model.generateTokens({ ...options, prefix });
    expect([...tokens]).toEqual(call.tokens);
    expect(forwards).toBe(call.forwards);
  });

  it.each(golden.generate)('answers $question by $schedule with the recorded text', async (call) => {
    const { text, written, finishReason } = await model.generate(call.question, settingsOf(call));
    // The template's own space, after `Answer:`, is part of `written` but not of the answer.
    expect(text).toBe(call.text.trim());
    expect(written).toEqual([call.text]);
    expect(finishReason).toBe('stop');
  });

  it.each(golden.generate)(
    'streams $question by $schedule as the answer, from left to right',
    async (call) => {
      const settings = settingsOf(call);
      const parts: string[] = [];
      for await (const part of model.stream(call.question, settings)) parts.push(part);
      expect(parts).not.toContain('');
      expect(parts.join('')).toBe((await model.generate(call.question, settings)).text);
    },
  );

  it.each(golden.forward)('has the recorded logits ($tokens.length tokens)', async (call) => {
    const { logits, shape } = await model.forward(call.tokens);
    expect(shape).toEqual([call.tokens.length, 264]);
    call.top3_ids.forEach((ids, position) => {
      const row = logits.subarray(position * 264, (position + 1) * 264);
      const best = [...row.keys()].sort((a, b) => (row[b] as number) - (row[a] as number)).slice(0, 3);
      const expected = call.top3_logits[position] as readonly number[];
      // Neighbours that differ by less than the error may swap.
      best.forEach((id, rank) => {
        if (id !== ids[rank]) {
          const gap = Math.abs((row[id] as number) - (row[ids[rank] as number] as number));
          expect(gap).toBeLessThan(2 * logitTolerance);
        }
      });
      const actual = ids.map((id) => row[id] as number);
      expect(maxAbsoluteError(actual, expected)).toBeLessThanOrEqual(logitTolerance);
    });
  });
});

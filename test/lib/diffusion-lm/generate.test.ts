import type { TextFrame } from '../../../lib/api/types';
import { bytes, endOfText, eos, load, mask, native, sessionOf, writes } from './nano-model';

jest.mock('../../../lib/runtime/binding');

describe('generate', () => {
  const options = { maxNewTokens: 10, steps: 9 };

  it('wraps the prompt as a task and ends the text at EOS', async () => {
    const wrapped = 'Question: 1+1$&?\nAnswer:';
    native.model = writes(' 2', wrapped.length);
    const model = await load();
    const result = await model.generate('1+1$&?', options);
    expect(result).toMatchObject({
      text: '2',
      written: [' 2'],
      finishReason: 'stop',
      forwards: 3,
      steps: 3,
    });
    const [first] = sessionOf().batches[0] ?? [];
    expect([...(first?.tokens ?? [])]).toEqual([...bytes(wrapped), ...new Array(9).fill(mask), endOfText]);
    expect([...(first?.plan.banned ?? [])]).toEqual([mask]);
    expect(first?.plan).toMatchObject({ greedy: true, temperature: 1 });
  });

  it('does not wrap a completion', async () => {
    native.model = writes(' be', 5);
    const model = await load();
    const { text, tokens } = await model.generate('to be', { ...options, mode: 'completion' });
    expect(text).toBe(' be');
    expect([...tokens.subarray(0, 5)]).toEqual(bytes('to be'));
  });

  it('ends the text at the end even when everything is filled', async () => {
    native.model = writes('ab', 3);
    const model = await load();
    const { text, tokens, finishReason } = await model.generate('abc', {
      ...options,
      mode: 'completion',
      stopAtEos: false,
    });
    expect(text).toBe('ab');
    expect(finishReason).toBe('length');
    expect([...tokens.subarray(3)]).toEqual([...bytes('ab'), eos, ...new Array(7).fill(endOfText)]);
  });

  it('trims nothing if the text does not end', async () => {
    native.model = writes('abcdefghijklmnop', 1);
    const model = await load();
    const result = await model.generate('?', { ...options, mode: 'completion' });
    expect(result).toMatchObject({ text: 'abcdefghi', finishReason: 'length' });
  });

  it('begins with <|endoftext|> if there is no prompt', async () => {
    const model = await load();
    for (const mode of ['task', 'completion'] as const) {
      const { tokens, positions } = await model.generate('', { ...options, mode, stopAtEos: false });
      expect(tokens[0]).toBe(endOfText);
      expect(tokens).toHaveLength(10);
      expect([...positions]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
  });

  it('takes length and steps from the checkpoint by default', async () => {
    const model = await load();
    const { tokens, positions } = await model.generate('?', { mode: 'completion', stopAtEos: false });
    expect(tokens).toHaveLength(1 + 32);
    expect(positions).toHaveLength(31);
    // One position per round, final fill included, and every round changes the canvas, so each needs a forward pass.
    expect(sessionOf().batches).toHaveLength(31);
    const long = await model.generateTokens({ prefix: [1], maxNewTokens: 60, schedule: 'random' });
    expect(long.steps).toBe(32);
  });

  it('keeps and may write the reserved slot', async () => {
    const model = await load();
    const last = async (change: object) =>
      (await model.generate('?', { ...options, stopAtEos: false, ...change })).tokens.at(-1);
    expect(await last({ addEos: true })).toBe(eos);
    expect(await last({})).toBe(endOfText);
    const { positions, tokens } = await model.generate('?', {
      ...options,
      reserveEnd: false,
      stopAtEos: false,
    });
    expect(positions.at(-1)).toBe(tokens.length - 1);
  });

  it('never predicts the mask token', async () => {
    const model = await load();
    const { tokens } = await model.generate('?', { ...options, temperature: 5, seed: 1, stopAtEos: false });
    expect(tokens).not.toContain(mask);
  });

  it.each<[unknown, object, ErrorConstructor, string]>([
    [7, {}, TypeError, '7'],
    [undefined, {}, TypeError, 'undefined'],
    ['?', { mode: 'talk' }, TypeError, "'talk'"],
    ['?', { maxNewTokens: 1 }, RangeError, '1'],
    ['?', { maxNewTokens: 300 }, RangeError, '256'],
    ['?'.repeat(300), {}, RangeError, 'the prompt has 318 tokens'],
    ['?', { stopAtEos: 'no' }, TypeError, "'no'"],
    ['?', { steps: -1 }, RangeError, '-1'],
    ['?', 'fast' as never, TypeError, "'fast'"],
  ])('%p with %p is refused', async (prompt, wrong, kind, quoted) => {
    const model = await load();
    for (const call of [
      () => model.generate(prompt as string, wrong),
      async () => model.denoise(prompt as string, wrong).next(),
    ]) {
      await expect(call()).rejects.toThrow(kind);
      await expect(call()).rejects.toThrow(quoted);
    }
    expect(sessionOf().batches).toEqual([]);
  });
});

describe('denoise', () => {
  it('yields the text of every round, and returns the result', async () => {
    native.model = writes(' 2', 3);
    const model = await load();
    const frames: TextFrame[] = [];
    const generator = model.denoise('1+1', { mode: 'completion', maxNewTokens: 5, steps: 4 });
    for (;;) {
      const next = await generator.next();
      if (next.done) {
        expect(next.value).toMatchObject({ text: ' 2', written: [' 2'] });
        break;
      }
      frames.push(next.value);
    }
    expect(frames.map(({ text }) => text)).toEqual(['1+1 ░░░', '1+1 2░░', '1+1 2░']);
  });

  it('yields the canvas before the first step on request, without computing anything', async () => {
    const model = await load();
    const frames = model.denoise('abc', { maxNewTokens: 5, steps: 4, seed: 1, initialFrame: true });
    const { value } = await frames.next();
    expect(sessionOf().batches).toEqual([]);
    const initial = value as TextFrame;
    expect(initial).toMatchObject({
      step: 0,
      steps: 4,
      forwards: 0,
      text: 'Question: abc\nAnswer:░░░░',
      written: ['░░░░'],
    });
    expect([...initial.committed]).toEqual([]);
    expect(new Set(initial.predicted)).toEqual(new Set([-1]));
    const rest = [];
    for await (const frame of frames) rest.push(frame);
    const plain = [];
    for await (const frame of model.denoise('abc', { maxNewTokens: 5, steps: 4, seed: 1 })) plain.push(frame);
    expect(rest).toEqual(plain);
    initial.tokens.fill(0);
    expect(rest[0]?.tokens[0]).not.toBe(0);
  });

  it('calls step listeners until they are removed', async () => {
    const model = await load();
    const reports: number[] = [];
    const stop = model.onStep(({ rows }) => reports.push(rows));
    await model.generate('a', { mode: 'completion', maxNewTokens: 4, steps: 1 });
    await new Promise(setImmediate);
    stop();
    await model.generate('a', { mode: 'completion', maxNewTokens: 4, steps: 1 });
    await new Promise(setImmediate);
    expect(reports).toEqual([5]);
    expect(() => model.onStep('x' as never)).toThrow("listener must be a function, not 'x'");
  });

  it('packs no more rows into a step than the model was loaded for', async () => {
    const model = await load({ maxRowsPerStep: 9 });
    const options = { mode: 'completion', maxNewTokens: 4, steps: 1 } as const;
    await Promise.all([model.generate('a', options), model.generate('b', options)]);
    expect(sessionOf().batches.map((batch) => batch.length)).toEqual([1, 1]);
    await expect(load({ maxRowsPerStep: 0 })).rejects.toThrow(RangeError);
  });

  it('frees the canvas on return', async () => {
    const model = await load();
    for await (const { step } of model.denoise('1+1', { maxNewTokens: 9, steps: 8 })) {
      if (step === 2) break;
    }
    expect(sessionOf().batches).toHaveLength(2);
  });
});

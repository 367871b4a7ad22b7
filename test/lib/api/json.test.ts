import { inspectCheckpoint, scoreAndUnmask, toJSON } from '../../../lib/index';
import { all, load, nano, native, writes } from '../diffusion-lm/nano-model';

jest.mock('../../../lib/runtime/binding');

describe('toJSON', () => {
  it('converts frames and results to data that JSON can represent', async () => {
    native.model = writes('ab', 1);
    const model = await load();
    const options = { mode: 'completion', maxNewTokens: 4, steps: 2, seed: 2n ** 63n } as const;
    const [first] = await all(model.denoise('x', options));
    const frame = JSON.parse(JSON.stringify(toJSON(first as NonNullable<typeof first>)));
    expect(frame).toMatchObject({
      step: 1,
      steps: 2,
      predicted: [null, 97, 98, 258, null],
      written: ['ab░'],
    });
    expect(frame.entropy[0]).toBeNull();
    expect(frame.tokens).toHaveLength(5);
    const result = JSON.parse(JSON.stringify(toJSON(await model.generate('x', options))));
    expect(result).toMatchObject({ text: 'ab', seed: String(2n ** 63n), positions: [1, 2, 3] });
  });
});

describe('JSON.stringify', () => {
  const sent = (value: unknown) => JSON.parse(JSON.stringify(value));

  it('serializes frames and results as toJSON does', async () => {
    native.model = writes('ab', 1);
    const model = await load();
    const options = { mode: 'completion', maxNewTokens: 4, steps: 2, seed: 2n ** 63n } as const;
    const [tokens, masked] = [
      [120, 0, 0],
      [1, 2],
    ];
    const values = [
      ...(await all(model.denoise('x', options))),
      ...(await all(model.denoiseTokens({ canvas: tokens, masked, initialFrame: true }))),
      await model.generate('x', options),
      await model.fill('a___', { seed: 7 }),
      await model.generateTokens({ canvas: tokens, masked }),
    ];
    for (const value of values) {
      expect(sent(value)).toEqual(sent(toJSON(value)));
      expect(Object.keys(value)).not.toContain('toJSON');
      expect(structuredClone(value)).toEqual(value);
    }
  });

  it('serializes other typed arrays as arrays', async () => {
    const model = await load();
    const forward = await model.forward([1, 2], { hidden: true, routing: true });
    const { logits, hidden, routing } = sent(forward);
    expect(logits).toEqual([...forward.logits]);
    expect(hidden.layers[1]).toEqual([...(forward.hidden?.layers[1] ?? [])]);
    expect(routing[0].expertIds).toEqual([...(forward.routing?.[0]?.expertIds ?? [])]);
    const request = { tokens: [1, 2], masked: [1], limit: { keep: 0 } };
    const unmasked = sent(await scoreAndUnmask(new Float32Array([0, 1, 2, 3, 2, 1]), request));
    expect(unmasked).toMatchObject({ committed: [1], predicted: [2] });
    const report = await inspectCheckpoint(nano);
    expect(sent(report).metadata).toEqual(Object.fromEntries(report.metadata));
  });

  it('is not affected by properties of Object.prototype', async () => {
    const model = await load();
    const prototype = Object.prototype as { get?: unknown };
    prototype.get = () => 'polluted';
    try {
      expect(sent(await model.generate('x', { maxNewTokens: 4, steps: 1 })).steps).toBe(1);
    } finally {
      delete prototype.get;
    }
  });
});

describe('the written text of frames', () => {
  it('ends where the text ends, with masks before it', async () => {
    native.model = writes('abc', 1);
    const model = await load();
    const options = { mode: 'completion', maxNewTokens: 8, steps: 7, stopAtEos: false } as const;
    const frames = await all(model.denoise('x', options));
    expect(frames.at(-1)?.written).toEqual(['abc']);
    expect(frames[0]?.written[0]).toMatch(/░/);
    for (const { text, written } of frames) expect(text.startsWith(`x${written[0]}`)).toBe(true);
  });

  it('is one string for each hole', async () => {
    native.model = writes('AAABBB', 0);
    const model = await load();
    const frames = await all(model.denoiseFill('a_b_', { hole: '_', tokensPerHole: 1, steps: 2 }));
    expect(frames.map(({ written }) => written)).toEqual([
      ['A', '░'],
      ['A', 'B'],
    ]);
  });
});

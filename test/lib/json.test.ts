import { toJSON } from '../../lib/index';
import { all, load, native, writes } from './nano-model';

jest.mock('../../lib/binding');

describe('toJSON', () => {
  it('gives frames and results that JSON can hold', async () => {
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

describe('what frames have written', () => {
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

import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiffusionLM } from '../../../lib/index';
import { temporaryFolder } from '../checkpoint/files';
import { prepending } from '../checkpoint/tokenizer/sentencepiece';
import { all, bytes, endOfText, eos, load, mask, nano, native, sessionOf, writes } from './nano-model';

jest.mock('../../../lib/runtime/binding');

describe('infill and fill', () => {
  it('write between two texts, and never tokens that end a text', async () => {
    native.model = writes('bc', 2);
    const model = await load();
    const result = await model.infill({ prefix: 'xa', suffix: 'd', length: 2 });
    expect(result).toMatchObject({ text: 'xabcd', written: ['bc'], finishReason: 'length' });
    expect([...result.tokens]).toEqual([...bytes('xabcd'), endOfText]);
    const banned = sessionOf().batches[0]?.[0]?.plan.banned ?? [];
    expect([...banned].sort()).toEqual([endOfText, eos, mask]);
  });

  it('fill holes anywhere', async () => {
    native.model = writes('AAABBBBCCC', 0);
    const model = await load();
    const result = await model.fill('a_b_', { hole: '_', tokensPerHole: 2, steps: 2 });
    expect([...result.positions]).toEqual([1, 2, 4, 5]);
    expect(result).toMatchObject({ written: ['AA', 'BB'], text: 'aAAbBB' });

    const listed = await model.fill(['a_', { length: 1 }, 'b', { length: 3 }, '']);
    expect([...listed.positions]).toEqual([2, 4, 5, 6]);
    expect(listed).toMatchObject({ written: ['A', 'BBB'], text: 'a_AbBBB' });

    const byDefault = await model.fill('a___');
    expect([...byDefault.positions]).toEqual([1, 2, 3, 4]);
  });

  it('allow a character to span neighbouring holes', async () => {
    native.model = writes('a漢b', 0);
    const model = await load();
    const { text, written } = await model.fill(['a', { length: 1 }, '', { length: 2 }, 'b']);
    expect(text).toBe('a漢b');
    // A character belongs to the hole in which it begins.
    expect(written).toEqual(['漢', '']);
    const frames = await all(
      model.denoiseFill(['a', { length: 1 }, { length: 2 }, 'b'], {
        schedule: { type: 'blocks', length: 1 },
        steps: 3,
      }),
    );
    expect(frames.map((frame) => frame.written)).toEqual([
      ['\uFFFD', '░░'],
      ['\uFFFD', '░'],
      ['漢', ''],
    ]);
    for (const frame of frames) expect(frame.text).toBe(`a${frame.written.join('')}b`);
  });

  it('keep the spaces around holes if the tokenizer strips one from the start of a text', async () => {
    const folder = temporaryFolder();
    cpSync(nano, folder, { recursive: true });
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(prepending));
    native.model = writes(' b c d', 2);
    const model = await DiffusionLM.load(folder);
    // The first token is the space that this tokenizer inserts before a text.
    const infilled = await model.infill({ prefix: 'a', suffix: ' c d', length: 2 });
    expect(infilled).toMatchObject({ text: 'a b c d', written: [' b'] });
    expect([...infilled.tokens]).toEqual([...bytes(' a b c d'), endOfText]);
    const filled = await model.fill('a__x d', { hole: '_', tokensPerHole: 1 });
    expect(filled).toMatchObject({ text: 'a bx d', written: [' ', 'b'] });
    const begun = await model.fill([{ length: 2 }, 'c']);
    expect([...begun.tokens]).toEqual([endOfText, 0, 32, 99, endOfText]);
    const generated = await all(
      model.denoise('a', { mode: 'completion', maxNewTokens: 7, schedule: { type: 'blocks', length: 2 } }),
    );
    expect(generated[0]?.text).toBe('a ░░░░░');
    expect(generated[1]?.text).toBe('a b░░░░');
    expect(generated.at(-1)).toMatchObject({ text: 'a b c d', written: [' b c d'] });
    expect((await model.generate('', { maxNewTokens: 4 })).text).toBe('\u0000 b');
    await model.dispose();
  });

  it('begin with <|endoftext|> if a hole comes first', async () => {
    native.model = writes('0123456', 0);
    const model = await load();
    const result = await model.fill(['', { length: 2 }, 'z']);
    expect([...result.tokens]).toEqual([endOfText, ...bytes('12'), ...bytes('z'), endOfText]);
    expect(result).toMatchObject({ text: '12z', written: ['12'] });
    const frames = await all(model.denoiseFill(['', { length: 2 }, 'z'], { steps: 2 }));
    expect(frames.map(({ text }) => text)).toEqual(['1░z', '12z']);
    expect((await model.infill({ length: 2 })).text).toBe('12');
    expect((await all(model.denoiseInfill({ length: 1, suffix: 'y' }))).map(({ text }) => text)).toEqual([
      '1y',
    ]);
  });

  it.each<[unknown, object | undefined, ErrorConstructor, string]>([
    ['no hole', undefined, RangeError, "'no hole'"],
    [['a', 'b'], undefined, RangeError, "[ 'a', 'b' ]"],
    [[], undefined, RangeError, '[]'],
    ['a___', { hole: '' }, RangeError, "''"],
    ['a___', { hole: 3 }, TypeError, '3'],
    ['a___', { tokensPerHole: 0 }, RangeError, '0'],
    ['a___', { tokensPerHole: 300 }, RangeError, '256'],
    [[{ length: 2 ** 40 }], undefined, RangeError, '256'],
    [[{ length: -1 }], undefined, RangeError, 'template[0].length'],
    [['a', null], undefined, TypeError, 'template[1] must be a string or { length }, not null'],
    [[{}], undefined, TypeError, 'undefined'],
    [7, undefined, TypeError, '7'],
    [`${'a'.repeat(253)}___`, undefined, RangeError, '256'],
  ])('fill(%p, %p) is refused', async (template, options, kind, quoted) => {
    const model = await load();
    await expect(model.fill(template as string, options)).rejects.toThrow(kind);
    await expect(model.fill(template as string, options)).rejects.toThrow(quoted);
  });

  it.each<[unknown, ErrorConstructor, string]>([
    [undefined, TypeError, 'undefined'],
    [{ prefix: 1, length: 2 }, TypeError, '1'],
    [{ suffix: null, prefix: {}, length: 2 }, TypeError, '{}'],
    [{ prefix: 'a' }, TypeError, 'undefined'],
    [{ prefix: 'a', length: 0 }, RangeError, '0'],
  ])('infill(%p) is refused', async (input, kind, quoted) => {
    const model = await load();
    await expect(model.infill(input as never)).rejects.toThrow(kind);
    await expect(model.infill(input as never)).rejects.toThrow(quoted);
  });
});

import { buildCanvas, type CanvasModel, type CanvasOptions } from '../../../lib/denoising/canvas';
import { readGolden } from '../../support/goldens';
import { optionsOf, type Trace } from '../../support/traces';

const model: CanvasModel = {
  vocabulary: 100,
  maxPositions: 64,
  maxNewTokens: 12,
  causal: false,
  special: { mask: 7, eos: [5, 6], pad: 3, bos: null },
  ends: [5, 6],
  reserveEnd: true,
};

function build(options: CanvasOptions, change: Partial<CanvasModel> = {}) {
  const { tokens, masked } = buildCanvas(options, { ...model, ...change });
  return { tokens: [...tokens], masked: [...masked] };
}

const positions = (first: number, end: number) => Array.from({ length: end - first }, (_, i) => first + i);
const masks = (count: number) => new Array<number>(count).fill(7);

describe('canvases of the reference', () => {
  const index = readGolden<{ name: string }[]>('sampling/index.json');
  it.each(index)('$name', ({ name }) => {
    const trace = readGolden<Trace>(`sampling/${name}.json`);
    const { tokens, masked } = build(optionsOf(trace), { vocabulary: 1000, maxPositions: 256 });
    expect(tokens).toEqual(trace.initial_tokens);
    expect(masked).toEqual(trace.initial_masked);
  });
});

describe('a prompted canvas', () => {
  it('reserves its last slot for pad, or for the first EOS', () => {
    expect(build({ prefix: [1, 2], maxNewTokens: 4 })).toEqual({
      tokens: [1, 2, 7, 7, 7, 3],
      masked: [2, 3, 4],
    });
    expect(build({ prefix: [1, 2], maxNewTokens: 4, addEos: true }).tokens).toEqual([1, 2, 7, 7, 7, 5]);
    expect(build({ prefix: [1, 2], maxNewTokens: 4, eosTokenId: [9, 8], addEos: true }).tokens.at(-1)).toBe(
      9,
    );
  });

  it('reserves its last slot for the EOS that is asked for, whether or not the model reserves one', () => {
    const call = { prefix: [1, 2], maxNewTokens: 4 };
    expect(build(call, { reserveEnd: false }).tokens).toEqual([1, 2, 7, 7, 7, 7]);
    expect(build({ ...call, addEos: true }, { reserveEnd: false }).tokens).toEqual([1, 2, 7, 7, 7, 5]);
  });

  it('writes 0 if pad is missing, and nothing without an EOS id or with reserveEnd: false', () => {
    expect(build({ prefix: [1], maxNewTokens: 3, padTokenId: null }).tokens).toEqual([1, 7, 7, 0]);
    expect(build({ prefix: [1], maxNewTokens: 3, eosTokenId: null }).tokens).toEqual([1, 7, 7, 7]);
    expect(build({ prefix: [1], maxNewTokens: 3, eosTokenId: [] }).tokens).toEqual([1, 7, 7, 7]);
    expect(build({ prefix: [1], maxNewTokens: 3, reserveEnd: false }).tokens).toEqual([1, 7, 7, 7]);
  });

  it('counts the suffix among the new tokens, but not with length', () => {
    expect(build({ prefix: [1], suffix: [8, 9], maxNewTokens: 5 })).toEqual({
      tokens: [1, 7, 7, 8, 9, 3],
      masked: [1, 2],
    });
    expect(build({ prefix: [1], suffix: [8, 9], length: 5 })).toEqual({
      tokens: [1, ...masks(5), 8, 9, 3],
      masked: positions(1, 6),
    });
  });

  it('leaves special tokens of the prefix alone', () => {
    expect(build({ prefix: [7, 5, 3], maxNewTokens: 2 })).toEqual({ tokens: [7, 5, 3, 7, 3], masked: [3] });
  });

  it('is prompted by an empty prefix, too', () => {
    expect(build({ prefix: [], maxNewTokens: 3 })).toEqual({ tokens: [7, 7, 3], masked: [0, 1] });
  });

  it('never masks position 0 with a BOS id, but does not write it either', () => {
    expect(build({ suffix: [8], maxNewTokens: 5, bosTokenId: 2 })).toEqual({
      tokens: [7, 7, 7, 8, 3],
      masked: [1, 2],
    });
    expect(build({ suffix: [8], length: 2, bosTokenId: 2 })).toEqual({
      tokens: [7, 7, 7, 8, 3],
      masked: [1, 2],
    });
    expect(build({ prefix: [1], maxNewTokens: 3, bosTokenId: 2 }).tokens).toEqual([1, 7, 7, 3]);
  });
});

describe('an unprompted canvas', () => {
  it('is all masks, maxNewTokens long', () => {
    expect(build({ maxNewTokens: 3 })).toEqual({ tokens: masks(3), masked: [0, 1, 2] });
    expect(build({}).tokens).toEqual(masks(12));
  });

  it('begins with BOS and ends with EOS on request', () => {
    expect(build({ maxNewTokens: 4, bosTokenId: 2, addEos: true })).toEqual({
      tokens: [2, 7, 7, 5],
      masked: [1, 2],
    });
    expect(build({ length: 2, bosTokenId: 2, addEos: true }).tokens).toEqual([2, 7, 7, 5]);
  });

  it('has no position to fill when the mask token is EOS or pad', () => {
    expect(build({ maxNewTokens: 3, eosTokenId: 7 })).toEqual({ tokens: masks(3), masked: [] });
    expect(build({ maxNewTokens: 3, padTokenId: 7 }).masked).toEqual([]);
  });
});

describe('the default length', () => {
  it('is that of the checkpoint, up to the longest canvas', () => {
    expect(build({ prefix: [1, 2] }).tokens).toHaveLength(14);
    expect(build({ prefix: new Array(60).fill(1) }).tokens).toHaveLength(64);
    expect(() => build({ prefix: new Array(63).fill(1) })).toThrow(RangeError);
    expect(() => build({ prefix: new Array(64).fill(1) })).toThrow(RangeError);
  });
});

describe('a given canvas', () => {
  it('is used unchanged, with masked positions in any order', () => {
    const canvas = Int32Array.of(5, 7, 3, 9);
    const given = buildCanvas({ canvas, masked: [3, 0, 1], bosTokenId: 2 }, model);
    canvas[0] = 1;
    expect([...given.tokens]).toEqual([5, 7, 3, 9]);
    expect([...given.masked]).toEqual([0, 1, 3]);
  });

  it('may have nothing to fill', () => {
    expect(build({ canvas: [1], masked: [] })).toEqual({ tokens: [1], masked: [] });
  });
});

describe('wrong arguments', () => {
  it.each<[CanvasOptions, ErrorConstructor, string]>([
    [{ prefix: [1], maxNewTokens: 1 }, RangeError, 'maxNewTokens 1 '],
    [{ prefix: [1], maxNewTokens: 0 }, RangeError, 'maxNewTokens 0 '],
    [{ maxNewTokens: 0 }, RangeError, 'maxNewTokens 0 '],
    [{ maxNewTokens: 1, bosTokenId: 2 }, RangeError, 'maxNewTokens 1 '],
    [{ prefix: [1], maxNewTokens: -2 }, RangeError, '-2'],
    [{ prefix: [1], maxNewTokens: 2.5 }, RangeError, '2.5'],
    [{ prefix: [1], suffix: [1, 2], maxNewTokens: 3 }, RangeError, 'maxNewTokens 3 '],
    [{ prefix: [1], length: 0 }, RangeError, '0'],
    [{ prefix: [1], length: Number.NaN }, RangeError, 'NaN'],
    [{ prefix: [1], length: 62, maxNewTokens: 3 }, TypeError, 'length and maxNewTokens'],
    [{ prefix: [1], length: 63 }, RangeError, '65 tokens'],
    [{ prefix: [1], length: 2 ** 31 - 1 }, RangeError, '2147483649 tokens'],
    [{ prefix: [1], maxNewTokens: 64 }, RangeError, '65 tokens'],
    [{ prefix: [100] }, RangeError, '100'],
    [{ suffix: [-1] }, RangeError, '-1'],
    [{ prefix: '1' as never }, TypeError, "'1'"],
    [{ maskTokenId: 100 }, RangeError, '100'],
    [{ maskTokenId: null as never }, TypeError, 'maskTokenId'],
    [{ padTokenId: -1 }, RangeError, '-1'],
    [{ eosTokenId: [4, 100] }, RangeError, 'eosTokenId[1] is 100'],
    [{ bosTokenId: 1.5 }, RangeError, '1.5'],
    [{ prefix: [1], addEos: true, eosTokenId: null }, TypeError, 'EOS'],
    [{ prefix: [1], addEos: true, reserveEnd: false }, TypeError, 'reserveEnd'],
    [{ prefix: [1], addEos: 1 as never }, TypeError, '1'],
    [{ reserveEnd: 'no' as never }, TypeError, "'no'"],
    [{ canvas: [1, 2] }, TypeError, 'masked'],
    [{ masked: [1] }, TypeError, 'canvas'],
    [{ canvas: [], masked: [] }, RangeError, 'canvas'],
    [{ canvas: new Array(65).fill(1), masked: [] }, RangeError, '65'],
    [{ canvas: [1, 2], masked: [2] }, RangeError, 'masked[0] is 2'],
    [{ canvas: [1, 2], masked: [1, 1] }, RangeError, 'position 1 twice'],
    [{ canvas: [1, 2], masked: [0.5] }, RangeError, '0.5'],
    [{ canvas: [1, 2], masked: [1], prefix: [1] }, TypeError, 'prefix'],
    [{ canvas: [1, 2], masked: [1], length: 1 }, TypeError, 'length'],
    [{ canvas: [1, 2], masked: [1], addEos: true }, TypeError, 'addEos'],
  ])('%p', (options, kind, message) => {
    expect(() => build(options)).toThrow(kind);
    expect(() => build(options)).toThrow(message);
  });

  it('a checkpoint without mask token needs one', () => {
    const special = { ...model.special, mask: null };
    expect(() => build({}, { special })).toThrow(TypeError);
    expect(build({ maskTokenId: 7, maxNewTokens: 1 }, { special }).tokens).toEqual([7]);
  });
});

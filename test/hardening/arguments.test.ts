import {
  DiffusionLM,
  inspectCheckpoint,
  type DiffusionLM as Model,
  scoreAndUnmask,
  Tokenizer,
  type UnmaskRequest,
} from '../../lib';
import { failureOf, onCpu } from './support';
import {
  noBoolean,
  noInteger,
  noList,
  noNumber,
  noString,
  notFinite,
  range,
  type,
  type Wrong,
} from './wrong-values';

// Of the embedded model.
const vocabulary = 264;
const positions = 256;

const circular: Record<string, unknown> = { type: 'blocks', length: 2 };
circular.schedule = circular;

const sampling: Record<string, Wrong[]> = {
  steps: [...noInteger, ...type([null, 'null']), ...range(-1, 2 ** 31)],
  temperature: [...noNumber, ...notFinite, ...range(-0.1, 1e39)],
  topK: [...noInteger, ...range(-1)],
  topP: [...noNumber, ...notFinite, ...range(-0.1, 1.1)],
  greedy: noBoolean,
  seed: [
    ...type(['3', "'3'"], [null, 'null'], [{}, '{}']),
    ...notFinite,
    ...range(1.5, 2 ** 53, 2n ** 64n, -(2n ** 63n) - 1n),
  ],
  schedule: [
    ...type([null, 'null'], [3, '3'], ['best', "'best'"], [[], 'undefined'], [{}, 'undefined']),
    ...type(['blocks', "'blocks'"], ['threshold', "'threshold'"], [{ type: 'random2' }, "'random2'"]),
    ...type([{ type: 'entropy-bounded' }, 'undefined'], [{ type: 'threshold', tau: '1' }, "'1'"]),
    [{ type: 'entropy-bounded', gamma: Number.NaN }, 'RangeError', 'NaN'],
    [{ type: 'threshold', tau: 0 }, 'RangeError', '0'],
    [{ type: 'threshold', tau: 1.1 }, 'RangeError', '1.1'],
    [{ type: 'blocks', length: 0 }, 'RangeError', '0'],
    [{ type: 'blocks', length: 2.5 }, 'RangeError', '2.5'],
    ...type([{ type: 'blocks', length: 2, schedule: null }, 'null']),
    ...type([circular, "type: 'blocks'"]),
  ],
  signal: type([null, 'null'], ['now', "'now'"], [{ aborted: false }, 'aborted: false'], [7, '7']),
};

const special = [...noInteger, ...range(-1, vocabulary)];
const tokenOptions: Record<string, Wrong[]> = {
  ...sampling,
  prefix: noList(vocabulary),
  suffix: noList(vocabulary),
  banned: [
    ...noList(vocabulary),
    [Array.from({ length: vocabulary }, (_, i) => i), 'RangeError', `all ${vocabulary} tokens`],
  ],
  canvas: [
    [[1], 'TypeError', 'without masked'],
    [undefined, 'TypeError', 'masked is given without canvas'],
  ],
  maxNewTokens: [...noInteger, ...type([null, 'null']), ...range(-1, 0, 2 ** 31)],
  length: [...noInteger, ...type([null, 'null']), ...range(-1, 0, 2 ** 31)],
  addEos: noBoolean,
  reserveEnd: noBoolean,
  stopAtEos: noBoolean,
  maskTokenId: special,
  eosTokenId: [...type(['3', "'3'"], [3n, '3n'], [['3'], "'3'"]), ...range(-1, 1.5, vocabulary)],
  padTokenId: special,
  bosTokenId: special,
};

let model: Model;
let before: Float32Array;
beforeAll(async () => {
  model = await DiffusionLM.load(undefined, onCpu);
  before = (await model.forward([1, 2, 3])).logits;
});
afterAll(() => model.dispose());

/** Fails when the call throws at once: every method reports through its promise or its first frame. */
async function refuses(call: () => Promise<unknown>, kind: string, quoted: string): Promise<void> {
  const nothing = { name: 'no error', message: '' };
  const { name, message } = await call().then(
    () => nothing,
    (error: Error) => error,
  );
  expect({ name, message }).toEqual({ name: kind, message: expect.stringContaining(quoted) });
}

type Call = (options: never) => Promise<unknown>;
const request: UnmaskRequest = { tokens: [0, 2, 2], masked: [1, 2] };
const logits = new Float32Array(3 * 3);
const generateOptions: Record<string, Wrong[]> = {
  ...sampling,
  mode: type([7, '7'], ['talk', "'talk'"], [{}, '{}']),
  maxNewTokens: tokenOptions.maxNewTokens as Wrong[],
  addEos: noBoolean,
  reserveEnd: noBoolean,
  stopAtEos: noBoolean,
};
const fillOptions: Record<string, Wrong[]> = {
  ...sampling,
  hole: [...noString, ['', 'RangeError', "''"]],
  tokensPerHole: [...noInteger, ...range(0, -1)],
};
const calls: Record<string, readonly [Call, Record<string, Wrong[]>]> = {
  'DiffusionLM.load': [
    (options) => DiffusionLM.load(undefined, options),
    {
      device: type(
        [null, 'null'],
        ['gpu', "'gpu'"],
        ['cuda:', "'cuda:'"],
        ['cuda:-1', "'cuda:-1'"],
        [0, '0'],
      ),
      dtype: type([null, 'null'], ['f64', "'f64'"], [16, '16']),
      threads: [...noInteger, ...type([null, 'null']), ...range(0, -1, 1025)],
      onProgress: type([null, 'null'], ['yes', "'yes'"], [{}, '{}']),
      signal: sampling.signal as Wrong[],
    },
  ],
  generate: [(options) => model.generate('?', options), generateOptions],
  denoise: [(options) => model.denoise('?', options).next(), generateOptions],
  infill: [(options) => model.infill({ length: 2 }, options), sampling],
  denoiseInfill: [(options) => model.denoiseInfill({ length: 2 }, options).next(), sampling],
  fill: [(options) => model.fill('a___', options), fillOptions],
  denoiseFill: [(options) => model.denoiseFill('a___', options).next(), fillOptions],
  generateTokens: [(options) => model.generateTokens(options), tokenOptions],
  denoiseTokens: [(options) => model.denoiseTokens(options).next(), tokenOptions],
  forward: [
    (options) => model.forward([1, 2], options),
    {
      positions: [...noList(2), [[], 'RangeError', 'positions']],
      hidden: noBoolean,
      routing: noBoolean,
      forcedExperts: [...noList(8), [new Int32Array(3), 'RangeError', 'forcedExperts has 3']],
      signal: sampling.signal as Wrong[],
    },
  ],
};

describe.each(Object.entries(calls))('%s', (_, [call, options]) => {
  it.each(Object.entries(options))('refuses wrong %s', async (option, wrong) => {
    for (const [value, kind, quoted] of wrong) {
      const rest = option === 'canvas' && value === undefined ? { masked: [0] } : {};
      await refuses(() => call({ ...rest, [option]: value } as never), kind, quoted);
    }
  });

  it('refuses options that are no object', async () => {
    const wrong = type([null, 'null'], [[], '[]'], ['fast', "'fast'"], [7, '7'], [() => 1, '[Function']);
    for (const [value, kind, quoted] of wrong) await refuses(() => call(value as never), kind, quoted);
  });

  it.each(Object.keys(options))('passes on what a getter of %s throws', async (option) => {
    const thrown = new Error('from the getter');
    const getter = {
      get [option]() {
        throw thrown;
      },
    };
    await expect(call(getter as never)).rejects.toBe(thrown);
    const trap = { get: (_: object, name: unknown) => (name === option ? getter[option] : undefined) };
    await expect(call(new Proxy({}, trap) as never)).rejects.toBe(thrown);
  });
});

const given = { tokens: [1, 2], masked: [1] };
it.each<[options: object, quoted: string]>([
  [{ canvas: given.tokens, masked: [2] }, 'masked[0] is 2'],
  [{ canvas: given.tokens, masked: [1, 0, 1] }, 'position 1 twice'],
  [{ canvas: [], masked: [] }, 'at least one token'],
  [{ canvas: new Int32Array(positions + 1), masked: [1] }, String(positions + 1)],
  [{ prefix: new Int32Array(positions), maxNewTokens: 2 }, String(positions)],
  [{ canvas: given.tokens, masked: [1], prefix: [1] }, '[ 1 ]'],
  [{ canvas: given.tokens, masked: [1], maxNewTokens: 9 }, '9'],
  [{ canvas: given.tokens, masked: [1], length: 9 }, '9'],
  [{ canvas: given.tokens, masked: [1], reserveEnd: true }, 'true'],
  [{ length: 4, maxNewTokens: 5 }, '4 and 5'],
  [{ maxNewTokens: positions + 1 }, String(positions + 1)],
  [{ addEos: true, eosTokenId: null }, 'addEos'],
  [{ addEos: true, reserveEnd: false, prefix: [1] }, 'reserveEnd'],
])('generateTokens(%j) is refused', async (options, quoted) => {
  const { name, message } = await failureOf(() => model.generateTokens(options));
  expect(name).toMatch(/^(Type|Range)Error$/);
  expect(message).toContain(quoted);
});

describe('arguments beside the options', () => {
  const cases: [string, Call, Wrong[]][] = [
    // An object is all options, the model among them.
    [
      'DiffusionLM.load',
      (path) => DiffusionLM.load(path),
      type([7, '7'], [null, 'null'], [[], '[]'], [true, 'true']),
    ],
    [
      'DiffusionLM.load model',
      (model) => DiffusionLM.load({ model }),
      [...noString, ...type([null, 'null'])],
    ],
    ['generate', (prompt) => model.generate(prompt), [...noString, ...type([null, 'null'])]],
    ['denoise', (prompt) => model.denoise(prompt).next(), noString],
    ['infill', (input) => model.infill(input), type([null, 'null'], ['a', "'a'"], [{}, 'undefined'])],
    ['infill length', (length) => model.infill({ length }), [...noInteger, ...range(0, -1, 1e9)]],
    ['infill prefix', (prefix) => model.infill({ prefix, length: 1 }), noString],
    ['infill suffix', (suffix) => model.infill({ suffix, length: 1 }), noString],
    ['fill', (template) => model.fill(template), type([null, 'null'], [7, '7'], [[7], '7'])],
    ['fill length', (length) => model.fill([{ length }]), [...noInteger, ...range(0, -1)]],
    ['forward', (tokens) => model.forward(tokens), noList(vocabulary)],
    [
      'scoreAndUnmask logits',
      (array) => model.scoreAndUnmask(array, request),
      type([[1], '[ 1 ]'], [new Float64Array(9), 'Float64Array(9)'], [null, 'null'], ['x', "'x'"]),
    ],
    ['scoreAndUnmask request', (wrong) => scoreAndUnmask(logits, wrong), type([null, 'null'], [[], '[]'])],
    ['inspectCheckpoint', (folder) => inspectCheckpoint(folder), type([7, '7'], [null, 'null'])],
    ['Tokenizer.load', (folder) => Tokenizer.load(folder), type([7, '7'], [null, 'null'])],
    [
      'encode',
      async (text) => model.tokenizer?.encode(text),
      type([7, '7'], [null, 'null'], [Symbol('s'), 's']),
    ],
  ];
  it.each(cases)('%s', async (_, call, wrong) => {
    for (const [value, kind, quoted] of wrong) await refuses(() => call(value as never), kind, quoted);
  });
});

describe('scoreAndUnmask', () => {
  const options: Record<string, Wrong[]> = {
    tokens: [
      ...noList(3).filter(([, kind]) => kind === 'TypeError'),
      [[], 'RangeError', '9 logits'],
      [[1, 1], 'RangeError', '9 logits'],
      [[0, 1, 3], 'RangeError', '[2] is 3'],
      [[0, -1, 2], 'RangeError', '[1] is -1'],
    ],
    masked: [...noList(3), [[1, 1], 'RangeError', 'position 1 twice']],
    eligible: [...noList(3), [[0], 'RangeError', 'position 0']],
    banned: [...noList(3), [[2, 1, 0], 'RangeError', 'all 3 tokens']],
    order: type(['best', "'best'"], [1, '1']),
    limit: [
      ...type([1, '1'], [{}, '{}'], [{ keep: 1, tau: 1 }, 'keep: 1'], [{ keep: '1' }, "'1'"]),
      [{ keep: -1 }, 'RangeError', '-1'],
      [{ gamma: Number.NaN }, 'RangeError', 'NaN'],
      [{ tau: 2 }, 'RangeError', '2'],
    ],
    temperature: sampling.temperature as Wrong[],
    topK: sampling.topK as Wrong[],
    topP: sampling.topP as Wrong[],
    greedy: noBoolean,
    seed: (sampling.seed as Wrong[]).filter(([value]) => value !== null),
    round: [...noInteger, ...range(-1, 2 ** 31)],
  };
  it.each(Object.entries(options))('refuses wrong %s', async (option, wrong) => {
    for (const [value, kind, quoted] of wrong) {
      await refuses(() => scoreAndUnmask(logits, { ...request, [option]: value }), kind, quoted);
    }
  });

  it('refuses logits whose memory is gone, even while the request is read', async () => {
    const gone = new Float32Array(9);
    const getter = {
      ...request,
      get order(): 'entropy' {
        structuredClone(gone.buffer, { transfer: [gone.buffer] });
        return 'entropy';
      },
    };
    await refuses(() => scoreAndUnmask(gone, getter), 'RangeError', '0');
  });
});

it('any typed array of integers in range will do', async () => {
  for (const tokens of [Uint8Array.of(1, 2, 3), Float64Array.of(1, 2, 3), new Proxy([1, 2, 3], {})]) {
    expect((await model.forward(tokens as never)).logits).toEqual(before);
  }
});

it('methods need a model for `this`', async () => {
  for (const name of ['generate', 'infill', 'fill', 'generateTokens', 'forward'] as const) {
    const method = DiffusionLM.prototype[name] as (this: object, first: unknown) => Promise<unknown>;
    expect((await failureOf(() => method.call({}, []))).name).toBe('TypeError');
  }
});

it('the model is as it was', async () => {
  expect((await model.forward([1, 2, 3])).logits).toEqual(before);
  expect((await model.generate('?', { maxNewTokens: 4, steps: 2 })).text).toBeDefined();
});

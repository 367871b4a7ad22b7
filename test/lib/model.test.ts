import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadBinding } from '../../lib/binding';
import { RND1, scoreAndUnmask } from '../../lib/index';
import type { LoadOptions, TextFrame, TokenFrame, UnmaskRequest } from '../../lib/types';
import { FakeNative } from './fake-native';
import { worstConfidence } from './step-oracle';

jest.mock('../../lib/binding');

const nano = join(__dirname, '..', '..', 'models', 'nano');
const bytes = (text: string) => [...Buffer.from(text)];
const endOfText = 256;
const eos = 258;
const mask = 259;

let native: FakeNative;
beforeEach(() => {
  native = new FakeNative();
  jest.mocked(loadBinding).mockReturnValue(native.asNative());
});

const load = (options?: LoadOptions) => RND1.load(nano, options);
const sessionOf = () => native.sessions.at(-1) as NonNullable<(typeof native.sessions)[number]>;

async function all<F>(frames: AsyncGenerator<F, unknown, void>): Promise<F[]> {
  const list: F[] = [];
  for await (const frame of frames) list.push(frame);
  return list;
}

/** A model that writes a text from position `start` on, left to right, then EOS and pad. */
function writes(text: string, start: number) {
  return (tokens: Int32Array) => {
    const logits = new Float32Array(tokens.length * 264);
    const wanted = [...bytes(text), eos];
    for (let position = 1; position < tokens.length; position++) {
      const token = position < start ? 0 : (wanted[position - start] ?? endOfText);
      logits[(position - 1) * 264 + token] = 40 - position / 4;
      // The mask token would win everywhere, were it not banned.
      logits[(position - 1) * 264 + mask] = 50;
    }
    return logits;
  };
}

describe('load', () => {
  it('takes the embedded model without a path, as it is', async () => {
    const model = await RND1.load();
    const { description } = sessionOf();
    expect(description).toMatchObject({ device: 'cpu', dtype: 'bf16', threads: availableParallelism() });
    expect(description.config).toMatchObject({ layers: 4, hidden: 128, vocabulary: 264 });
    expect(description.files).toEqual([join(nano, 'model.safetensors')]);
    expect(model.info).toEqual({
      folder: nano,
      device: 'cpu',
      deviceReason: 'no driver at all',
      instructionSet: 'imaginary',
      threads: availableParallelism(),
      dtype: 'bf16',
      weightDtype: 'bf16',
      weightBytes: 12345,
      unknownTensors: [],
    });
    expect(model.config.tokens).toMatchObject({
      maskTokenId: mask,
      eosTokenIds: [eos],
      padTokenId: endOfText,
    });
    expect([...(model.tokenizer?.encode('hi') ?? [])]).toEqual(bytes('hi'));
  });

  it('takes what it is told', async () => {
    const model = await load({ device: 'cpu', dtype: 'f32', threads: 3 });
    expect(model.info).toMatchObject({
      device: 'cpu',
      deviceReason: null,
      dtype: 'f32',
      threads: 3,
      weightDtype: 'bf16',
    });
  });

  it('takes the first GPU that holds the weights', async () => {
    native.gpus = [
      { device: 'cuda:0', name: 'small', bytes: 1000 },
      { device: 'cuda:1', name: 'large', bytes: 1e9 },
    ];
    expect((await load()).info).toMatchObject({ device: 'cuda:1', deviceReason: null });
    native.gpus.pop();
    const { device, deviceReason } = (await load()).info;
    expect(device).toBe('cpu');
    expect(deviceReason).toContain('no GPU has more than 1000');
  });

  it('reports progress, and ends with what the callback throws', async () => {
    const reports: unknown[] = [];
    await load({ onProgress: (progress) => reports.push(progress) });
    expect(reports).toEqual([
      { bytes: 1, totalBytes: 2, tensors: 3, totalTensors: 4 },
      { bytes: 2, totalBytes: 2, tensors: 4, totalTensors: 4 },
    ]);
    const error = new Error('no more');
    const onProgress = () => {
      throw error;
    };
    await expect(load({ onProgress })).rejects.toBe(error);
  });

  it('ends with the reason of its signal, and frees what comes too late', async () => {
    await expect(load({ signal: AbortSignal.abort('never') })).rejects.toBe('never');
    expect(native.sessions).toHaveLength(0);

    const controller = new AbortController();
    native.whileLoading = () => controller.abort('now');
    await expect(load({ signal: controller.signal })).rejects.toBe('now');
    expect(native.sessions).toHaveLength(0);

    native.whileLoading = () => {};
    const late = new AbortController();
    const onProgress = ({ tensors }: { tensors: number }) => tensors === 4 && late.abort('late');
    await expect(load({ signal: late.signal, onProgress })).rejects.toBe('late');
    expect(native.sessions).toHaveLength(1);
    expect(sessionOf().disposals).toBe(1);
  });

  it.each(['radicalnumerics/RND1-Base-0910', 'no-such-folder', __filename])(
    '%s is no folder',
    async (path) => {
      const error = await RND1.load(path).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'RND1Error', code: 'io' });
      expect((error as Error).message).toContain(path);
      expect((error as Error).message.includes('hub')).toBe(path.startsWith('radical'));
    },
  );

  it.each<[object, ErrorConstructor, string]>([
    [{ device: 'gpu' }, TypeError, "'gpu'"],
    [{ device: 'cuda:x' }, TypeError, "'cuda:x'"],
    [{ dtype: 'f64' }, TypeError, "'f64'"],
    [{ threads: 0 }, RangeError, '0'],
    [{ threads: 1.5 }, RangeError, '1.5'],
    [{ threads: Number.NaN }, RangeError, 'NaN'],
    [{ onProgress: 'yes' }, TypeError, "'yes'"],
    [{ signal: 'stop' }, TypeError, "'stop'"],
    [[], TypeError, '[]'],
  ])('%p is refused', async (options, kind, quoted) => {
    await expect(load(options)).rejects.toThrow(kind);
    await expect(load(options)).rejects.toThrow(quoted);
  });

  it('refuses a path that is no string', async () => {
    await expect(RND1.load(7 as never)).rejects.toThrow(TypeError);
  });
});

describe('generate', () => {
  const options = { maxNewTokens: 10, steps: 9 };

  it('wraps the prompt as a task and ends the text at EOS', async () => {
    const wrapped = 'Question: 1+1$&?\nAnswer:';
    native.model = writes(' 2', wrapped.length);
    const model = await load();
    const result = await model.generate('1+1$&?', options);
    expect(result).toMatchObject({
      text: ' 2',
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

  it('leaves a completion alone', async () => {
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

  it('is cut by nothing where the text does not end', async () => {
    native.model = writes('abcdefghijklmnop', 1);
    const model = await load();
    const result = await model.generate('?', { ...options, mode: 'completion' });
    expect(result).toMatchObject({ text: 'abcdefghi', finishReason: 'length' });
  });

  it('begins with <|endoftext|> where there is no prompt', async () => {
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
    // One position a round, the final fill included; each follows a round that changed the canvas.
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
    ['?', { mode: 'chat' }, TypeError, "'chat'"],
    ['?', { maxNewTokens: 1 }, RangeError, '1'],
    ['?', { maxNewTokens: 300 }, RangeError, '256'],
    ['?'.repeat(300), {}, RangeError, 'maxNewTokens 0'],
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

  it('frees the canvas on return', async () => {
    const model = await load();
    for await (const { step } of model.denoise('1+1', { maxNewTokens: 9, steps: 8 })) {
      if (step === 2) break;
    }
    expect(sessionOf().batches).toHaveLength(2);
  });
});

describe('infill and fill', () => {
  it('write between two texts, never what ends a text', async () => {
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

  it('begin with <|endoftext|> where a hole comes first', async () => {
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

describe('token-level calls', () => {
  it('take their special ids from the checkpoint, and ban nothing', async () => {
    const model = await load();
    const frames: TokenFrame[] = await all(
      model.denoiseTokens({ prefix: [1, 2], maxNewTokens: 6, steps: 3 }),
    );
    expect(frames.map(({ step }) => step)).toEqual([1, 2, 3]);
    const [canvas] = sessionOf().batches[0] ?? [];
    expect([...(canvas?.tokens ?? [])]).toEqual([1, 2, mask, mask, mask, mask, mask, endOfText]);
    expect(canvas?.plan.banned).toHaveLength(0);
  });

  it('copy their arguments when they are called', async () => {
    const model = await load();
    const prefix = Int32Array.of(1, 2, 3);
    const banned = [4, 5];
    const generator = model.denoiseTokens({ prefix, banned, maxNewTokens: 4 });
    prefix.fill(9);
    banned.fill(9);
    await all(generator);
    const [canvas] = sessionOf().batches[0] ?? [];
    expect([...(canvas?.tokens.subarray(0, 3) ?? [])]).toEqual([1, 2, 3]);
    expect([...(canvas?.plan.banned ?? [])]).toEqual([4, 5]);
  });

  it('refuse wrong arguments with the first frame', async () => {
    const model = await load();
    const generator = model.denoiseTokens({ prefix: [264] });
    await expect(generator.next()).rejects.toThrow(RangeError);
    await expect(model.generateTokens({ banned: [-1] })).rejects.toThrow('banned[0] is -1');
    await expect(model.generateTokens(null as never)).rejects.toThrow(TypeError);
  });

  it('share steps and give what they give alone', async () => {
    const model = await load();
    const calls = [4, 7, 9].map((maxNewTokens) => ({
      prefix: [maxNewTokens],
      maxNewTokens,
      steps: 5,
      seed: 1,
    }));
    const alone = [];
    for (const call of calls) alone.push(await model.generateTokens(call));
    const before = sessionOf().batches.length;
    const together = await Promise.all(calls.map((call) => model.generateTokens(call)));
    expect(together).toEqual(alone);
    expect(sessionOf().batches[before]).toHaveLength(3);
    expect(sessionOf().batches.length - before).toBeLessThan(before);
  });
});

describe('a checkpoint without tokenizer', () => {
  it('loads; only text methods fail', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rnd1-no-tokenizer-'));
    try {
      cpSync(nano, folder, { recursive: true, filter: (file) => !file.endsWith('tokenizer.json') });
      const model = await RND1.load(folder);
      expect(model.tokenizer).toBeNull();
      for (const call of [
        () => model.generate('?'),
        () => model.infill({ length: 2 }),
        () => model.fill('___'),
        async () => model.denoise('?').next(),
      ]) {
        await expect(call()).rejects.toMatchObject({ name: 'RND1Error', code: 'tokenizer_missing' });
      }
      expect((await model.generateTokens({ maxNewTokens: 2 })).tokens).toHaveLength(2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('forward', () => {
  it('gives logits alone unless asked for more', async () => {
    const model = await load();
    const output = await model.forward([5, 6, 7]);
    expect(Object.keys(output)).toEqual(['logits', 'shape']);
    expect(output.shape).toEqual([3, 264]);
    expect(sessionOf().requests[0]).toMatchObject({
      rows: null,
      logits: true,
      hidden: false,
      routing: false,
    });
  });

  it('takes the result apart by layer', async () => {
    const model = await load();
    const { hidden, routing, logits, shape } = await model.forward(Int32Array.of(5, 6, 7), {
      positions: [2, 0, 2],
      hidden: true,
      routing: true,
    });
    expect(shape).toEqual([3, 264]);
    expect([logits[0], logits[264], logits[2 * 264]]).toEqual([1002, 1000, 1002]);
    expect(hidden?.layers).toHaveLength(4);
    for (const [rows, base] of [
      [hidden?.embed, 2000],
      [hidden?.layers[1], 2200],
      [hidden?.finalNorm, 2500],
    ] as const) {
      expect(rows).toHaveLength(3 * 128);
      expect([rows?.[0], rows?.[128], rows?.[256]]).toEqual([base + 2, base, base + 2]);
    }
    expect(routing).toHaveLength(4);
    expect([...(routing?.[3]?.expertIds ?? [])]).toEqual([4302, 4302, 4300, 4300, 4302, 4302]);
    expect(routing?.[3]?.logits).toHaveLength(3 * 8);
    expect([...(routing?.[0]?.expertWeights ?? [])]).toEqual([5002, 5002, 5000, 5000, 5002, 5002]);
  });

  it('ends with the reason of its signal at once', async () => {
    const model = await load();
    sessionOf().beforeResult = () => new Promise(() => {});
    const controller = new AbortController();
    const pending = model.forward([1], { signal: controller.signal });
    controller.abort('enough');
    await expect(pending).rejects.toBe('enough');
    await expect(model.forward([1], { signal: controller.signal })).rejects.toBe('enough');
  });

  it.each<[unknown, object, ErrorConstructor, string]>([
    [[], {}, RangeError, 'tokens'],
    [undefined, {}, TypeError, 'undefined'],
    [[264], {}, RangeError, '264'],
    [new Array(257).fill(1), {}, RangeError, '257'],
    [[1], { positions: [] }, RangeError, 'positions'],
    [[1], { positions: [1] }, RangeError, 'positions[0] is 1'],
    [[1], { hidden: 1 }, TypeError, '1'],
    [[1], { routing: 'yes' }, TypeError, "'yes'"],
    [[1], { forcedExperts: Int32Array.of(1) }, RangeError, 'forcedExperts has 1'],
    [[1], { forcedExperts: new Int32Array(8).fill(8) }, RangeError, '8'],
    [[1], { signal: 1 }, TypeError, '1'],
  ])('%p with %p is refused', async (tokens, options, kind, quoted) => {
    const model = await load();
    await expect(model.forward(tokens as number[], options)).rejects.toThrow(kind);
    await expect(model.forward(tokens as number[], options)).rejects.toThrow(quoted);
  });
});

describe('scoreAndUnmask', () => {
  const logits = Float32Array.of(0, 1, 0, 0, 0, 3, 2, 0, 0);
  const request: UnmaskRequest = { tokens: [0, 2, 2], masked: [2, 1] };

  it('needs no model and commits everything by default', async () => {
    const result = await scoreAndUnmask(logits, request);
    expect([...result.committed]).toEqual([1, 2]);
    expect([...result.predicted]).toEqual([1, 2]);
    expect(result.confidence[0]).toBeCloseTo(1 - Math.log(2 + Math.E), 6);
    expect(await (await load()).scoreAndUnmask(logits, request)).toEqual(result);
  });

  it('keeps, bounds, restricts and bans', async () => {
    const committed = async (change: object) => [
      ...(await scoreAndUnmask(logits, { ...request, ...change })).committed,
    ];
    expect(await committed({ limit: { keep: 1 } })).toEqual([2]);
    expect(await committed({ limit: { keep: 5 } })).toEqual([]);
    expect(await committed({ limit: { gamma: 0 } })).toEqual([2]);
    expect(await committed({ limit: { tau: 0.9 }, order: 'confidence' })).toEqual([2]);
    expect(await committed({ eligible: [1], limit: { keep: 0 } })).toEqual([1]);
    expect([...(await scoreAndUnmask(logits, { ...request, banned: [1, 2] })).predicted]).toEqual([0, 0]);
  });

  it('keeps position 0 as it is', async () => {
    const { predicted, confidence, entropy } = await scoreAndUnmask(logits, {
      tokens: [1, 2, 2],
      masked: [0],
    });
    expect([predicted[0], confidence[0], entropy[0]]).toEqual([1, worstConfidence, 0]);
  });

  it('gives nothing for nothing', async () => {
    expect((await scoreAndUnmask(logits, { tokens: [0, 1, 2], masked: [] })).committed).toHaveLength(0);
  });

  it('reports what is not finite', async () => {
    const broken = Float32Array.from(logits);
    broken[4] = Number.NaN;
    await expect(scoreAndUnmask(broken, request)).rejects.toMatchObject({ code: 'not_finite' });
  });

  it.each<[unknown, object, ErrorConstructor, string]>([
    [[1, 2, 3], {}, TypeError, '[ 1, 2, 3 ]'],
    [new Float32Array(10), {}, RangeError, '10'],
    [new Float32Array(), {}, RangeError, '0'],
    [logits, { tokens: [] }, RangeError, '9'],
    [logits, { tokens: [0, 1, 3] }, RangeError, '3'],
    [logits, { masked: [3] }, RangeError, '3'],
    [logits, { masked: undefined }, TypeError, 'undefined'],
    [logits, { masked: [1, 1] }, RangeError, 'twice'],
    [logits, { eligible: [0] }, RangeError, 'position 0'],
    [logits, { order: 'best' }, TypeError, "'best'"],
    [logits, { limit: { keep: -1 } }, RangeError, '-1'],
    [logits, { limit: { keep: 1, gamma: 1 } }, TypeError, 'gamma'],
    [logits, { limit: { tau: 0 } }, RangeError, '0'],
    [logits, { limit: 3 }, TypeError, '3'],
    [logits, { temperature: -1 }, RangeError, '-1'],
    [logits, { round: -1 }, RangeError, '-1'],
    [logits, { banned: [3] }, RangeError, '3'],
  ])('%p with %p is refused', async (given, change, kind, quoted) => {
    const call = () => scoreAndUnmask(given as Float32Array, { ...request, ...change });
    await expect(call()).rejects.toThrow(kind);
    await expect(call()).rejects.toThrow(quoted);
  });
});

describe('dispose', () => {
  it('rejects what is pending and whatever comes later, and may be called again', async () => {
    const model = await load();
    const session = sessionOf();
    session.beforeResult = () => new Promise(() => {});
    const started = model.denoise('?');
    const pending = [model.generate('?'), model.generateTokens({ maxNewTokens: 3 }), started.next()];
    const outcomes = Promise.allSettled(pending);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(session.batches).toHaveLength(1);
    await Promise.all([model.dispose(), model.dispose()]);
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'RND1Error', code: 'disposed' } });
    }
    expect(session.disposals).toBe(1);
    expect(session.flags[0]?.aborted).toBe(true);

    for (const call of [
      () => model.generate('?'),
      () => model.infill({ length: 1 }),
      () => model.fill('a___'),
      () => model.forward([1]),
      () => model.generateTokens({ maxNewTokens: 3 }),
      async () => model.denoise('?').next(),
      async () => model.denoiseTokens({ canvas: [1], masked: [] }).next(),
    ]) {
      await expect(call()).rejects.toMatchObject({ name: 'RND1Error', code: 'disposed' });
    }
  });

  it('ends a run between two frames', async () => {
    const model = await load();
    const frames = model.denoise('?', { steps: 8, maxNewTokens: 9 });
    await frames.next();
    await model.dispose();
    await expect(frames.next()).rejects.toMatchObject({ code: 'disposed' });
  });

  it('comes with `await using`', async () => {
    {
      await using model = await load();
      expect(model.info.device).toBe('cpu');
    }
    expect(sessionOf().disposals).toBe(1);
  });
});

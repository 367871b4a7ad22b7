import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiffusionLM, inspectCheckpoint } from '../../../lib/index';
import { bytes, endOfText, eos, load, mask, nano, native, sessionOf } from './nano-model';

jest.mock('../../../lib/runtime/binding');

describe('load', () => {
  it('loads the embedded model without a path, in its own dtype', async () => {
    const model = await DiffusionLM.load();
    const { description } = sessionOf();
    expect(description).toMatchObject({ device: 'cpu', dtype: 'bf16', threads: availableParallelism() });
    expect(description.architecture).toMatchObject({ hidden: 128, vocabulary: 264 });
    expect(description.architecture.layers).toHaveLength(4);
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
      mapped: false,
      maxCacheBytes: expect.any(Number),
      unknownTensors: [],
      warnings: [],
    });
    expect(model.config.tokens).toMatchObject({
      maskTokenId: mask,
      eosTokenIds: [eos],
      padTokenId: endOfText,
    });
    expect([...(model.tokenizer?.encode('hi') ?? [])]).toEqual(bytes('hi'));
  });

  it('uses special tokens of tokenizer_config.json if no config has the key', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rnd1-'));
    try {
      cpSync(nano, folder, { recursive: true });
      const path = join(folder, 'config.json');
      const config = JSON.parse(readFileSync(path, 'utf8'));
      rmSync(join(folder, 'generation_config.json'), { force: true });
      const { mask_token_id: _, eos_token_id: __, ...others } = config;
      writeFileSync(path, JSON.stringify({ ...others, pad_token_id: null }));
      const { tokens } = (await DiffusionLM.load(folder)).config;
      expect(tokens).toEqual({ maskTokenId: mask, eosTokenIds: [eos], padTokenId: null, bosTokenId: null });
      expect((await inspectCheckpoint(folder)).config.tokens).toEqual(tokens);
      writeFileSync(path, JSON.stringify({ ...config, mask_token_id: null }));
      await expect(DiffusionLM.load(folder)).rejects.toMatchObject({ code: 'invalid_checkpoint' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('passes its options to the addon', async () => {
    const model = await load({ device: 'cpu', dtype: 'f32', threads: 3 });
    expect(model.info).toMatchObject({
      device: 'cpu',
      deviceReason: null,
      dtype: 'f32',
      threads: 3,
      weightDtype: 'bf16',
    });
  });

  it('copies weights if that takes at most half of the free memory', async () => {
    const free = jest.spyOn(process, 'availableMemory');
    const weights = (await inspectCheckpoint(nano)).bytes;
    const outcome = async (options?: Parameters<typeof load>[0]) => {
      const { info } = await load(options);
      return [native.sessions.at(-1)?.description.copied, info.mapped];
    };
    free.mockReturnValue(2 * weights);
    expect(await outcome()).toEqual([true, false]);
    expect(await outcome({ mmap: true })).toEqual([false, true]);
    free.mockReturnValue(2 * weights - 1);
    expect(await outcome()).toEqual([false, true]);
    expect(await outcome({ mmap: false })).toEqual([true, false]);
    free.mockRestore();
    await expect(load({ mmap: 'no' as never })).rejects.toThrow("mmap must be true or false, not 'no'");
  });

  it('uses the first GPU that holds the weights', async () => {
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

  it.each(['q8', 'q5', 'q4'] as const)('quantizes to %s while loading', async (dtype) => {
    expect((await load({ dtype })).info).toMatchObject({ device: 'cpu', dtype: 'bf16', weightDtype: dtype });
    expect(sessionOf().description).toMatchObject({ dtype: 'bf16', quantize: { dtype, group: 64 } });
    for (const device of ['cuda', 'cuda:0'] as const) await load({ dtype, device });
    expect(native.sessions.map(({ description }) => description.device)).toEqual(['cpu', 'cuda', 'cuda:0']);
  });

  it.each([
    ['q5', 'q5m'],
    ['q4', 'q4m'],
  ] as const)('quantizes attention and the head to q8, the rest to %s, with %s', async (rest, dtype) => {
    expect((await load({ dtype })).info).toMatchObject({ dtype: 'bf16', weightDtype: dtype });
    const { quantize, tensors } = sessionOf().description;
    expect(quantize).toEqual({ dtype: rest, group: 64 });
    const eight = tensors.filter((tensor) => 'quantize' in tensor && tensor.quantize?.dtype === 'q8');
    expect(new Set(eight.map(({ role }) => role.replace(/\d+/, 'N')))).toEqual(
      new Set([...['query', 'key', 'value', 'output'].map((part) => `layers.N.attention.${part}`), 'head']),
    );
    expect(tensors.filter((tensor) => 'quantize' in tensor)).toHaveLength(eight.length);
  });

  it('chooses a GPU that holds the quantized weights but not the others', async () => {
    const bytes = async (dtype: 'auto' | 'q4') => {
      native.gpus = [{ device: 'cuda:0', name: 'small', bytes: 1 }];
      const { deviceReason } = (await load({ dtype })).info;
      return Number(/take (\d+) bytes/.exec(deviceReason ?? '')?.[1]);
    };
    const [wide, narrow] = [await bytes('auto'), await bytes('q4')];
    expect(narrow).toBeLessThan(wide / 2);
    native.gpus = [{ device: 'cuda:0', name: 'middle', bytes: Math.round(wide / 2) }];
    expect((await load({ dtype: 'q4' })).info).toMatchObject({ device: 'cuda:0', deviceReason: null });
    expect((await load()).info.device).toBe('cpu');
  });

  it('reports progress, and fails with an error that the callback throws', async () => {
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

  it('fails with the reason of its signal, and frees a session that arrives too late', async () => {
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

  it.each(['no-such-folder', './radicalnumerics/RND1', '/no/such/folder', __filename])(
    '%s is no folder',
    async (path) => {
      const error = await DiffusionLM.load(path).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'RND1Error', code: 'io' });
      const kind = path === __filename ? 'is a file, not a folder' : 'is not a folder';
      const expected =
        'expected the folder of a checkpoint, a GGUF file, or owner/name of a checkpoint on the hub';
      expect((error as Error).message).toBe(`'${path}' ${kind}: ${expected}`);
    },
  );

  it('treats a path that is not a folder as a name on the hub, if it can be one', async () => {
    const options = { offline: true, cacheDir: join(tmpdir(), 'rnd1-no-cache') };
    const error = await DiffusionLM.load('radicalnumerics/RND1-Base-0910', options).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ name: 'RND1Error', code: 'offline' });
    const said =
      "'radicalnumerics/RND1-Base-0910' is not a folder, and radicalnumerics/RND1-Base-0910 at main";
    expect((error as Error).message).toContain(said);
  });

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
    await expect(DiffusionLM.load(7 as never)).rejects.toThrow(TypeError);
  });
});

describe('a checkpoint without tokenizer', () => {
  it('loads; only text methods fail', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rnd1-no-tokenizer-'));
    try {
      cpSync(nano, folder, { recursive: true, filter: (file) => !file.endsWith('tokenizer.json') });
      const model = await DiffusionLM.load(folder);
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

test('wrong ways to create a model are errors that name the right one', async () => {
  expect(() => new (DiffusionLM as unknown as new () => DiffusionLM)()).toThrow('made by DiffusionLM.load');
  await expect(DiffusionLM.load({ path: 'models/nano' } as never)).rejects.toThrow('as `model`');
});

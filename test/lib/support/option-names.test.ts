import { inspect } from 'node:util';
import { DiffusionLM, scoreAndUnmask } from '../../../lib/index';
import { load, nano } from '../diffusion-lm/nano-model';

jest.mock('../../../lib/runtime/binding');

describe('unknown options', () => {
  const given: [string, (model: DiffusionLM) => Promise<unknown>, string][] = [
    ['generate', (m) => m.generate('x', { maxNewToken: 5 } as object), "did you mean 'maxNewTokens'?"],
    ['generate', (m) => m.generate('x', { max_new_tokens: 5 } as object), "did you mean 'maxNewTokens'?"],
    ['generate', (m) => m.generate('x', { tokensPerHole: 5 } as object), "no 'tokensPerHole'"],
    ['infill', (m) => m.infill({ length: 2 }, { temprature: 1 } as object), "did you mean 'temperature'?"],
    ['infill', (m) => m.infill({ length: 2, sufix: 'x' } as { length: 2 }), "did you mean 'suffix'?"],
    ['fill', (m) => m.fill('___', { holes: '_' } as object), "did you mean 'hole'?"],
    ['generateTokens', (m) => m.generateTokens({ prefx: [1] } as object), "did you mean 'prefix'?"],
    ['forward', (m) => m.forward([1], { rows: [0] } as object), "options has no 'rows'"],
    [
      'a schedule',
      (m) => m.generate('x', { schedule: { type: 'entropy', gamma: 3 } as never }),
      "no 'gamma'",
    ],
    ['load', () => DiffusionLM.load(undefined, { devcie: 'cuda' } as object), "did you mean 'device'?"],
    ['scoreAndUnmask', () => scoreAndUnmask(new Float32Array(2), { token: [0] } as never), "'tokens'?"],
  ];

  it.each(given)('are refused by %s', async (_, call, part) => {
    const model = await load();
    await expect(call(model)).rejects.toThrow(TypeError);
    await expect(call(model)).rejects.toThrow(part);
  });

  it('are ignored if they are undefined', async () => {
    const model = await load();
    await model.generate('x', { maxNewTokens: 4, hole: undefined } as object);
  });
});

describe('load', () => {
  it('accepts all in one object', async () => {
    const model = await DiffusionLM.load({ model: nano, dtype: 'f32', threads: 3 });
    expect(model.info).toMatchObject({ folder: nano, dtype: 'f32', threads: 3 });
    expect((await DiffusionLM.load({ threads: 2 })).info).toMatchObject({ folder: nano, threads: 2 });
    expect((await DiffusionLM.load({ model: undefined })).info.folder).toBe(nano);
  });

  it.each<[unknown[], string]>([
    [[{ model: nano, devcie: 'cpu' }], "did you mean 'device'?"],
    [[{ model: 7 }], 'model must be a string, not 7'],
    [[{ model: nano }, {}], 'or pass all in one object'],
    [[nano, { model: nano }], 'the model is given twice'],
    [[undefined, { model: nano }], "options has no 'model'"],
    [[null], 'path must be a string, not null'],
    [[[]], 'options must be an object, not []'],
  ])('refuses %j', async (args, part) => {
    const load = DiffusionLM.load as (...args: unknown[]) => Promise<DiffusionLM>;
    await expect(load.apply(DiffusionLM, args)).rejects.toThrow(TypeError);
    await expect(load.apply(DiffusionLM, args)).rejects.toThrow(part);
  });
});

it('a model is shown in one line', async () => {
  const model = await load();
  expect(inspect(model)).toMatch(/^DiffusionLM \{ .*nano, cpu \(imaginary\), bf16 \}$/);
  await model.dispose();
  expect(inspect(model)).toContain('disposed');
});

import { describeModel, missing, native, noArrays, noNumbers, refuses } from './native-calls';
import { failureOf } from './support';
import { detached } from './wrong-values';

type Trainer = Awaited<ReturnType<typeof native.Trainer.open>>;
type Batch = Parameters<Trainer['lossAndGradients']>[0][number];
type Step = Parameters<Trainer['step']>[1];

/** What can be done wrong with a trainer of the addon: a JavaScript error, never a crash. */
describe('the native trainer', () => {
  let description: Parameters<typeof native.Trainer.open>[0];
  let trainer: Trainer;
  let step: Step;
  let before: unknown;

  const batch: Batch = {
    tokens: Int32Array.of(1, 2, 3),
    offsets: Int32Array.of(0, 3),
    block: null,
    rows: Int32Array.of(0, 2),
    targets: Int32Array.of(4, 5),
    weights: Float32Array.of(0.5, 0.5),
    auxCoef: 0.1,
    auxScope: 'layer',
    zCoef: 0.1,
  };

  beforeAll(async () => {
    description = { ...(await describeModel()), frozen: ['norm'], recompute: 'none', dtype: 'f32' };
    trainer = await native.Trainer.open(description, null, null);
    const rates = new Float64Array(trainer.info.parameters.length);
    step = {
      learningRates: rates,
      weightDecays: rates,
      beta1: 0,
      beta2: 0,
      epsilon: 1,
      step: 1,
      maxNorm: 1,
      batchNorms: true,
    };
    before = await trainer.lossAndGradients([batch], null);
  });
  afterAll(async () => {
    expect(await trainer.lossAndGradients([batch], null)).toEqual(before);
    await trainer.dispose();
  });

  it('refuses wrong descriptions', async () => {
    for (const wrong of missing) await refuses(() => native.Trainer.open(wrong as never, null, null), '');
    for (const field of [
      'architecture',
      'files',
      'tensors',
      'device',
      'threads',
      'frozen',
      'recompute',
      'dtype',
    ] as const)
      for (const wrong of missing.filter((value) => !Array.isArray(value) && value !== 7))
        await refuses(() => native.Trainer.open({ ...description, [field]: wrong }, null, null), '');
    for (const frozen of [['nothing'], [7]])
      await refuses(() => native.Trainer.open({ ...description, frozen } as never, null, null), '');
    await refuses(() => native.Trainer.open({ ...description, tensors: [] }, null, null), 'embedding');
  });

  it('refuses wrong batches', async () => {
    for (const wrong of [...missing, [], new Array(1), [null], [7], new Proxy([], {})]) {
      await refuses(() => trainer.lossAndGradients(wrong as never, null), '');
      await refuses(() => trainer.losses(wrong as never, null), '');
      await refuses(() => trainer.step(wrong as never, step, null), '');
    }
    for (const field of ['tokens', 'offsets', 'rows', 'targets', 'weights'] as const)
      for (const wrong of [...noArrays.filter((value) => !(value instanceof Float32Array)), detached()])
        for (const method of ['lossAndGradients', 'losses'] as const)
          await refuses(() => trainer[method]([{ ...batch, [field]: wrong } as never], null), '');
    for (const field of ['auxCoef', 'zCoef'] as const)
      for (const wrong of noNumbers.filter((value) => value !== 1.5 && value !== 2 ** 53 && value !== 1e300))
        await refuses(() => trainer.lossAndGradients([{ ...batch, [field]: wrong } as never], null), field);
    for (const block of [-1, 1.5, 'full', 2 ** 31])
      await refuses(() => trainer.lossAndGradients([{ ...batch, block } as never], null), 'block');
  });

  it('refuses wrong steps', async () => {
    const wrongRates = [
      new Float64Array(1),
      step.learningRates.map(() => -1),
      step.learningRates.map(() => Number.NaN),
      ...missing,
    ];
    for (const field of ['learningRates', 'weightDecays'] as const)
      for (const wrong of wrongRates)
        await refuses(() => trainer.step([batch], { ...step, [field]: wrong } as never, null), '');
    for (const field of ['beta1', 'beta2', 'epsilon', 'step', 'maxNorm'] as const)
      for (const wrong of [undefined, null, 'x', Number.NaN, -1, Number.POSITIVE_INFINITY])
        await refuses(() => trainer.step([batch], { ...step, [field]: wrong } as never, null), field);
    for (const batchNorms of missing)
      await refuses(() => trainer.step([batch], { ...step, batchNorms } as never, null), 'batchNorms');
  });

  it('reports on the rows that were given, whatever is done to the arrays of batches', async () => {
    const expected = await trainer.losses([batch, batch], null);
    const rows = batch.rows.slice();
    const running = trainer.losses([{ ...batch, rows }, batch], null);
    structuredClone(rows.buffer, { transfer: [rows.buffer] });
    expect(await running).toEqual(expected);
    expect(expected.crossEntropies).toHaveLength(4);
    // One batch shrinks another while it is read.
    const shrinking = {
      ...batch,
      get weights() {
        structuredClone(rest.rows.buffer, { transfer: [rest.rows.buffer] });
        return batch.weights;
      },
    };
    const rest = { ...batch, rows: batch.rows.slice() };
    await refuses(() => trainer.losses([shrinking, rest], null), 'the same length');
    // Rates 0: parameters stay.
    const { squaredNorms } = await trainer.step([batch, batch], { ...step, maxNorm: 0 }, null);
    expect(squaredNorms).toHaveLength(3 * trainer.info.parameters.length);
    expect((await trainer.step([batch], { ...step, batchNorms: false }, null)).squaredNorms).toBeNull();
  });

  it('refuses wrong roles, arrays and values', async () => {
    for (const wrong of missing) {
      await refuses(() => trainer.read(wrong as never, 'value'), '');
      await refuses(() => trainer.read('norm', wrong as never), '');
      await refuses(() => trainer.write('norm', 'value', wrong as never), '');
    }
    await refuses(() => trainer.read('norm', 'gradient'), "'norm' is frozen");
    await refuses(() => trainer.write('norm', 'value', new Float32Array(1)), 'elements, not 1');
  });

  it('is made by Trainer.open alone, and its methods want it', async () => {
    const Class = native.Trainer as unknown as new (...given: unknown[]) => Trainer;
    for (const given of [[], [null], [trainer]]) await refuses(() => new Class(...given), 'Trainer.open');
    const { prototype } = native.Trainer;
    const info = Object.getOwnPropertyDescriptor(prototype, 'info')?.get as () => unknown;
    for (const wrong of [undefined, null, {}, prototype, new native.AbortFlag(), new Proxy(trainer, {})]) {
      await refuses(() => prototype.step.call(wrong as never, [batch], step, null), '');
      await refuses(() => prototype.losses.call(wrong as never, [batch], null), '');
      await refuses(() => prototype.read.call(wrong as never, 'norm', 'value'), '');
      await refuses(() => info.call(wrong), '');
    }
  });

  it('may be disposed while arguments are read, and while a step runs', async () => {
    const doomed = await native.Trainer.open(description, null, null);
    const fatal = {
      ...batch,
      get tokens() {
        void doomed.dispose();
        return batch.tokens;
      },
    };
    for (const method of ['lossAndGradients', 'losses'] as const)
      expect(await failureOf(() => doomed[method]([fatal], null))).toMatchObject({ code: 'disposed' });
    for (let round = 0; round < 10; round++) {
      const other = await native.Trainer.open(description, null, null);
      const running = other.step([batch], step, null).catch(({ code }) => code);
      await Promise.all([other.dispose(), other.dispose()]);
      await running;
    }
  });
});

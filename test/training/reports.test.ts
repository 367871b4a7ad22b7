import type { Trainer, TrainerOptions, TrainingBatch } from '../../lib/training';
import { squaredNormsOf } from '../../lib/training/trainer-report';
import { closeTrainers, gradientsOf, norm, openTrainer, randomBatch } from './support';

const golden = { checkpoint: 'micro', config: 'config.json' };
const vocabulary = 61;
const batches = [randomBatch([20, 30], vocabulary, 5), randomBatch([17], vocabulary, 6)];
const withRouters = batches.map((batch): TrainingBatch => ({ ...batch, auxCoef: 0.02, zCoef: 0.01 }));

/** Experts everywhere, a dense layer among them, none at all, biases, tied embeddings. */
const folders = [
  'training/micro',
  'tiny-moe',
  'families/tiny-a2d-qwen3',
  'families/tiny-dream',
  'families/tiny-llada',
  'families/tiny-qwen3-moe',
];

const checkpointOf = (folder: string) => folder.replace('training/', '');

async function openOf(folder: string, options: Partial<TrainerOptions> = {}): Promise<Trainer> {
  return openTrainer({ checkpoint: checkpointOf(folder), config: 'config.json' }, options);
}

const sum = (values: Iterable<number>) => [...values].reduce((total, each) => total + each, 0);
const vocabularyOf = (trainer: Trainer) =>
  trainer.tensors.find(({ group }) => group === 'embedding')?.shape[0] as number;

describe('losses without gradients', () => {
  afterEach(closeTrainers);

  it.each(['none', 'attention', 'layer'] as const)(
    'are the same, and earlier gradients stay, computing %s again',
    async (recompute) => {
      const trainer = await openTrainer(golden, { recompute });
      await trainer.lossAndGradients(randomBatch([12, 5], vocabulary, 9));
      const gradients = await gradientsOf(trainer);
      const losses = await trainer.losses(withRouters);
      expect(await gradientsOf(trainer)).toEqual(gradients);
      expect(await trainer.lossAndGradients(withRouters)).toEqual(losses);
      expect(await gradientsOf(trainer)).not.toEqual(gradients);
      expect(await trainer.losses(withRouters)).toEqual(losses);
    },
  );

  it('need neither rows nor several batches', async () => {
    const trainer = await openTrainer(golden);
    const none = { ...batches[0], rows: new Int32Array(), targets: new Int32Array() };
    const empty = { ...none, weights: new Float32Array() } as TrainingBatch;
    expect(await trainer.losses(empty)).toMatchObject({ main: 0, crossEntropies: [new Float64Array()] });
    await expect(trainer.losses([])).rejects.toThrow('batches must not be empty');
    await expect(trainer.losses({ ...empty, tokens: [] } as never)).rejects.toThrow('batch.tokens');
  });

  it('reject with the reason of an abort', async () => {
    const trainer = await openTrainer(golden);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(trainer.losses(batches, { signal })).rejects.toThrow('enough');
    expect((await trainer.losses(batches)).main).toBeGreaterThan(0);
  });
});

describe('reports of losses', () => {
  afterEach(closeTrainers);

  it('hold the cross entropy of each scored row, without its weight', async () => {
    const trainer = await openTrainer(golden);
    const varied = batches.map((batch) => ({ ...batch, weights: batch.weights.map((_, i) => (i % 5) / 7) }));
    const { main, crossEntropies } = await trainer.losses(varied);
    expect(crossEntropies.map(({ length }) => length)).toEqual(varied.map(({ rows }) => rows.length));
    const weighted = varied.flatMap(({ weights }, i) =>
      Array.from(weights, (weight, row) => weight * (crossEntropies[i]?.[row] as number)),
    );
    expect(sum(weighted)).toBe(main);
    // A row alone has the same.
    const [first] = varied as [TrainingBatch];
    const alone = { rows: first.rows.subarray(3, 4), targets: first.targets.subarray(3, 4) };
    const single = await trainer.losses({ ...first, ...alone, weights: Float32Array.of(1) });
    expect(single.main).toBe(single.crossEntropies[0]?.[0]);
    expect(single.main).toBeCloseTo(crossEntropies[0]?.[3] as number, 5);
  });

  it('are for the rows that were given, wherever their arrays go meanwhile', async () => {
    const trainer = await openTrainer(golden);
    const expected = await trainer.losses(batches);
    const given = batches.map((batch) => ({ ...batch, rows: batch.rows.slice() }));
    const running = trainer.losses(given);
    for (const { rows } of given) structuredClone(rows.buffer, { transfer: [rows.buffer] });
    expect(await running).toEqual(expected);
  });

  it.each<[string, number[], number]>([
    ['training/micro', [0, 1], 2],
    ['tiny-moe', [0, 1, 2], 2],
    ['families/tiny-dream', [], 0],
  ])('count the rows of experts: %s', async (folder, layers, k) => {
    const trainer = await openOf(folder);
    const given = [5, 6].map((seed) => randomBatch([20, 30], vocabularyOf(trainer), seed));
    const { expertRows } = await trainer.losses(given);
    expect(expertRows.map(({ layer }) => layer)).toEqual(layers);
    for (const { rows } of expertRows) expect(sum(rows)).toBe(100 * k);
    const parts = [
      await trainer.losses(given[0] as TrainingBatch),
      (await trainer.step(given[1] as TrainingBatch)).losses,
    ];
    for (const [i, { rows }] of expertRows.entries())
      expect(rows).toEqual(
        rows.map((_, expert) => sum(parts.map((part) => part.expertRows[i]?.rows[expert] as number))),
      );
  });
});

describe('reports of steps', () => {
  afterEach(closeTrainers);

  it('hold the losses and the times of the parts, and norms only if they are wanted', async () => {
    const trainer = await openTrainer(golden);
    const losses = await trainer.losses(withRouters);
    const result = await trainer.step(withRouters);
    expect(result.losses).toEqual(losses);
    expect(Object.keys(result.milliseconds)).toEqual(['forward', 'backward', 'optimizer']);
    for (const time of Object.values(result.milliseconds)) expect(time).toBeGreaterThan(0);
    expect(result).not.toHaveProperty('squaredNorms');
    await expect(trainer.step(batches, { batchNorms: 1 as never })).rejects.toThrow('batchNorms must be');
  });

  it.each(folders)('hold squared norms of gradients by tensor: %s', async (folder) => {
    const [trainer, other] = [await openOf(folder), await openOf(folder, { threads: 1 })];
    const given = [5, 6, 7].map((seed) => randomBatch([20, 9], vocabularyOf(trainer), seed));
    const names = trainer.tensors.map(({ name }) => name);
    const normsOf = async () => {
      const gradients = await gradientsOf(trainer);
      return names.map((name) => norm(gradients.get(name) as Float32Array) ** 2);
    };
    const separate: number[][] = [];
    for (const batch of given) {
      await trainer.lossAndGradients(batch);
      separate.push(await normsOf());
    }
    await trainer.lossAndGradients(given);
    const together = await gradientsOf(trainer);
    const { squaredNorms, gradientNorm } = await trainer.step(given, { batchNorms: true });
    if (squaredNorms === undefined) throw new Error('no norms');
    const near = (actual: Float64Array, expected: number[]) => {
      expect(actual).toHaveLength(expected.length);
      for (const [i, each] of expected.entries())
        expect(Math.abs((actual[i] as number) - each)).toBeLessThanOrEqual(1e-6 * each);
    };
    expect(squaredNorms.batches).toHaveLength(3);
    for (const [i, expected] of separate.entries()) near(squaredNorms.batches[i] as Float64Array, expected);
    near(squaredNorms.whole, await normsOf());
    expect(sum(squaredNorms.whole) / gradientNorm ** 2).toBeCloseTo(1, 12);
    for (const [name, gradient] of await gradientsOf(trainer)) {
      const expected = together.get(name) as Float32Array;
      const differences = gradient.map((value, i) => value - (expected[i] as number));
      expect(norm(differences)).toBeLessThanOrEqual(1e-5 * norm(expected));
    }
    expect((await other.step(given, { batchNorms: true })).squaredNorms).toEqual(squaredNorms);
    for (const name of names) expect(await other.parameter(name)).toEqual(await trainer.parameter(name));
  });

  it('add up the norms of the parts of a fused tensor', () => {
    const shape = [1];
    const parameters = ['a', 'b', 'c'].map((role) => ({ role, shape, frozen: false }));
    const tensors = [
      { name: 'fused', parts: [{ role: 'c' }, { role: 'a' }] },
      { name: 'alone', parts: [{ role: 'b' }] },
    ];
    expect(squaredNormsOf(Float64Array.of(1, 2, 3, 10, 20, 30), parameters, tensors)).toEqual({
      batches: [Float64Array.of(4, 2)],
      whole: Float64Array.of(40, 20),
    });
  });

  it('hold norms 0 for frozen tensors', async () => {
    const trainer = await openTrainer(golden, { optimizer: { learningRate: { base: 0, router: 1e-3 } } });
    const { squaredNorms } = await trainer.step(batches, { batchNorms: true });
    const routers = trainer.tensors.map(({ group }) => group === 'router');
    for (const norms of [squaredNorms?.whole, ...(squaredNorms?.batches ?? [])])
      expect(Array.from(norms ?? [], (each) => each > 0)).toEqual(routers);
  });
});

describe('learning rates by tensor', () => {
  afterEach(closeTrainers);

  const withRates = (tensors: object) =>
    openTrainer(golden, {
      optimizer: { learningRate: { base: 1e-3, router: 0, tensors: tensors as Record<string, number> } },
    });

  it('are those of the first pattern that matches the whole name, then those of groups', async () => {
    const trainer = await withRates({
      'model.layers.1.mlp.gate.weight': 5e-3,
      'model.layers.1.*': 0,
      '.*proj.weight': 2e-3,
      'lm_head|model.embed_tokens.weight': 3e-3,
    });
    const before = new Map<string, Float32Array>();
    for (const { name, learningRate, group } of trainer.tensors) {
      let expected = group === 'router' ? 0 : 1e-3;
      if (name.endsWith('proj.weight')) expected = 2e-3;
      if (name === 'model.embed_tokens.weight') expected = 3e-3;
      if (name.startsWith('model.layers.1.')) expected = 0;
      if (name === 'model.layers.1.mlp.gate.weight') expected = 5e-3;
      expect([name, learningRate]).toEqual([name, expected]);
      before.set(name, await trainer.parameter(name));
    }
    await trainer.step(batches);
    for (const { name, learningRate } of trainer.tensors) {
      const moved = norm(
        (await trainer.parameter(name)).map((value, i) => value - (before.get(name)?.[i] ?? 0)),
      );
      expect([name, moved > 0]).toEqual([name, learningRate > 0]);
      if (learningRate === 0) await expect(trainer.moments(name)).rejects.toThrow('is frozen');
    }
  });

  it.each<[string, object]>([
    ["'model.nothing'", { 'model.nothing': 1 }],
    ["'lm_head'", { lm_head: 1 }],
    ["'(' is not a regular expression", { '(': 1 }],
    ["'.*)|(.*' is not a regular expression", { '.*)|(.*': 1 }],
    ["tensors['.*'] must be", { '.*': -1 }],
    ["tensors['.*'] must be", { '.*': '1' }],
    ['tensors must be an object', 3 as never],
  ])('refuse %s', async (message, tensors) => {
    await expect(withRates(tensors)).rejects.toThrow(message);
  });
});

import { join } from 'node:path';
import type { DiffusionLM, ForwardOutput } from '../../lib';
import { loadModel } from '../../lib/load';
import { fixturesFolder, readGolden } from '../support/goldens';
import { closeModels, device, nanoFolder, openModel } from '../support/models';
import { normalisedError, sameBits } from '../support/tolerance';

const tokensOf = (name: string) => readGolden<{ tokens: readonly number[] }>(`forward/${name}.json`).tokens;

const inputs = [
  { name: 'tiny-moe', checkpoint: 'tiny-moe', tokens: tokensOf('tiny-moe-len128-half') },
  {
    name: 'tiny-moe, bf16 shards',
    checkpoint: 'tiny-moe-sharded-bf16',
    tokens: tokensOf('tiny-moe-len33-half'),
  },
  { name: 'tiny-wide', checkpoint: 'tiny-wide', tokens: tokensOf('tiny-wide-len128-masks') },
  {
    name: 'nano',
    checkpoint: nanoFolder,
    tokens: [...Buffer.from('Question: Sort z k m q b x\nAnswer:'), ...new Array<number>(24).fill(259)],
  },
];

const dtypes = ['bf16', 'f16'] as const;
const roundings = inputs.flatMap((input) => dtypes.map((dtype) => ({ ...input, dtype })));

function expertIdsOf({ routing }: ForwardOutput): Int32Array {
  return Int32Array.from((routing ?? []).flatMap(({ expertIds }) => [...expertIds]));
}

afterAll(closeModels);

describe('compute dtypes of 16 bits', () => {
  const routes: string[] = [];
  afterAll(() => process.stdout.write(`Routes that rounding changes:\n${routes.join('\n')}\n`));

  it.each(roundings)(
    '$dtype on $name stays near f32 when routed alike',
    async ({ name, checkpoint, tokens, dtype }) => {
      const exact = await (await openModel({ checkpoint })).forward(tokens, { routing: true });
      const rounded = await openModel({ checkpoint }, { dtype });
      const forcedExperts = expertIdsOf(exact);
      const forced = await rounded.forward(tokens, { routing: true, forcedExperts });
      expect(expertIdsOf(forced)).toEqual(forcedExperts);

      const error = normalisedError(forced.logits, exact.logits);
      expect(error).toBeLessThanOrEqual(5e-3);
      // Above the noise of f32: 16-bit arithmetic was really used.
      expect(error).toBeGreaterThan(1e-9);

      const free = expertIdsOf(await rounded.forward(tokens, { routing: true }));
      expect(free).toHaveLength(forcedExperts.length);
      const share = free.filter((id, i) => id !== forcedExperts[i]).length / free.length;
      routes.push(
        `  ${dtype} on ${name}: ${(100 * share).toFixed(2)} % of ${free.length}, NMSE ${error.toExponential(1)}`,
      );
      expect(share).toBeLessThan(0.1);
    },
  );

  it('forced experts that differ from the router’s choice change the result', async () => {
    const model = await openModel({ checkpoint: 'tiny-moe' });
    const tokens = tokensOf('tiny-moe-len7-text');
    const own = await model.forward(tokens, { routing: true });
    const forcedExperts = expertIdsOf(own).map((id) => (id + 1) % 8);
    const other = await model.forward(tokens, { routing: true, forcedExperts });
    expect(expertIdsOf(other)).toEqual(forcedExperts);
    expect(normalisedError(other.logits, own.logits)).toBeGreaterThan(0.01);
  });
});

describe('the same canvas gives the same bits', () => {
  const lengths = [1, 2, 7, 31, 33, 64, 129];
  const canvases = lengths.map((length) =>
    Int32Array.from({ length }, (_, i) => (i * i * 7 + length * 13 + i) % 500),
  );
  const configurations = ['f32', 'bf16', 'f16'].flatMap((dtype) =>
    ['tiny-moe', 'tiny-wide'].map((checkpoint) => ({ dtype: dtype as 'f32' | 'bf16' | 'f16', checkpoint })),
  );

  async function alone(model: DiffusionLM): Promise<Float32Array[]> {
    const logits: Float32Array[] = [];
    for (const tokens of canvases) logits.push((await model.forward(tokens)).logits);
    return logits;
  }

  it.each(configurations)(
    '$dtype on $checkpoint with any number of threads',
    async ({ dtype, checkpoint }) => {
      const expected = await alone(await openModel({ checkpoint }, { dtype, threads: 1 }));
      for (const threads of [2, 3]) {
        const logits = await alone(await openModel({ checkpoint }, { dtype, threads }));
        expect(logits.map((bits, i) => sameBits(bits, expected[i] as Float32Array))).toEqual(
          lengths.map(() => true),
        );
      }
    },
  );

  it.each(configurations)('$dtype on $checkpoint packed with others', async ({ dtype, checkpoint }) => {
    const expected = await alone(await openModel({ checkpoint }, { dtype, threads: 1 }));
    const folder = join(fixturesFolder, checkpoint);
    const { session } = await loadModel(folder, { device, dtype, threads: 2 });
    try {
      const requests = canvases.map((tokens) => ({
        tokens,
        rows: null,
        logits: true,
        hidden: false,
        routing: false,
        forcedExperts: null,
        block: null,
      }));
      for (const order of [requests, [...requests].reverse()]) {
        const packed = await session.forward(order, null);
        order.forEach(({ tokens }, i) => {
          const { logits } = packed[i] as (typeof packed)[number];
          const bits = expected[canvases.indexOf(tokens)] as Float32Array;
          expect({ length: tokens.length, same: sameBits(logits as Float32Array, bits) }).toEqual({
            length: tokens.length,
            same: true,
          });
        });
      }
    } finally {
      await session.dispose();
    }
  });

  it('scores of packed steps equal those of single ones', async () => {
    const model = await openModel({ checkpoint: 'tiny-wide' });
    const options = lengths.slice(2).map((length) => ({
      prefix: Array.from({ length }, (_, i) => (i * 31 + length) % 900),
      maxNewTokens: 5 + (length % 11),
      steps: 4,
      temperature: 0.9,
      seed: length,
      maskTokenId: 13,
    }));
    const scoresOf = async (one: (typeof options)[number]) => {
      const scores: Float32Array[] = [];
      for await (const { confidence, entropy } of model.denoiseTokens(one)) scores.push(confidence, entropy);
      return scores;
    };
    const single: Float32Array[][] = [];
    for (const one of options) single.push(await scoresOf(one));
    const packed = await Promise.all(options.map(scoresOf));
    single.forEach((scores, i) => {
      expect(scores.length).toBeGreaterThan(0);
      expect(packed[i]).toHaveLength(scores.length);
      scores.forEach((values, j) => {
        expect(sameBits(values, (packed[i] as Float32Array[])[j] as Float32Array)).toBe(true);
      });
    });
  });
});

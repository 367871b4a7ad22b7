import type { DiffusionLM, TokenOptions } from '../../lib';
import { readGolden } from '../support/goldens';
import { closeModels, openModel } from '../support/models';

interface ErrorGolden {
  readonly name: string;
  readonly checkpoint: string;
  readonly error: { readonly type: string };
}

const calls = readGolden<ErrorGolden[]>('sampling/errors.json');
const ids = { maskTokenId: 7, eosTokenId: 5, padTokenId: 3, temperature: 1, greedy: true, steps: 4 };
const upTo = (count: number) => Array.from({ length: count }, (_, i) => 50 + i);

/** For each call of the reference the equivalent options, and a value that the message must quote. */
const ours: Record<string, readonly [TokenOptions, quoted: number]> = {
  'prefix longer than seq_len': [{ ...ids, prefix: upTo(12), maxNewTokens: 10 - 12 }, -2],
  'prefix + eos place fill seq_len': [{ ...ids, prefix: upTo(9), maxNewTokens: 1 }, 1],
  'prefix + suffix + eos place fill seq_len': [
    { ...ids, prefix: upTo(6), suffix: upTo(3), maxNewTokens: 4 },
    4,
  ],
  'suffix too long': [{ ...ids, suffix: upTo(10), maxNewTokens: 10 }, 10],
  'no eos: prefix fills seq_len': [{ ...ids, eosTokenId: null, prefix: upTo(10), maxNewTokens: 0 }, 0],
  'max_new_tokens 0': [{ ...ids, prefix: upTo(8), maxNewTokens: 0 }, 0],
  'max_new_tokens 1: the only place is the reserved one': [{ ...ids, prefix: upTo(8), maxNewTokens: 1 }, 1],
  'infill_length 1 through generate': [{ ...ids, prefix: upTo(4), suffix: upTo(3), length: 0 }, 0],
  'infill_length 0 through generate': [{ ...ids, prefix: upTo(4), suffix: upTo(3), length: -1 }, -1],
  'max_length shorter than the prefix': [{ ...ids, prefix: upTo(8), maxNewTokens: 5 - 8 }, -3],
  'mask id outside the vocabulary (default generation config)': [
    { ...ids, prefix: upTo(8), maxNewTokens: 4, steps: 2, maskTokenId: 151_669 },
    151_669,
  ],
  'token id outside the vocabulary': [{ ...ids, prefix: [600, 1], maxNewTokens: 8 }, 600],
  'negative token id': [{ ...ids, prefix: [-1, 1], maxNewTokens: 8 }, -1],
  'seq_len 0 without prefix': [{ ...ids, maxNewTokens: 0 }, 0],
};

async function failureOf(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('calls that the reference refuses', () => {
  let model: DiffusionLM;
  beforeAll(async () => {
    model = await openModel({ checkpoint: 'tiny-moe' });
  });
  afterAll(closeModels);

  it('are all mapped', () => {
    expect(Object.keys(ours).sort()).toEqual(calls.map(({ name }) => name).sort());
  });

  it.each(calls)('$name', async ({ name }) => {
    const [options, quoted] = ours[name] as (typeof ours)[string];
    const failures = [
      await failureOf(() => model.generateTokens(options)),
      await failureOf(async () => model.denoiseTokens(options)[Symbol.asyncIterator]().next()),
    ];
    for (const failure of failures) {
      expect(failure instanceof RangeError || failure instanceof TypeError).toBe(true);
      expect((failure as Error).message).toContain(String(quoted));
    }
  });

  it('leave the model usable', async () => {
    const { positions } = await model.generateTokens({ ...ids, prefix: upTo(8), maxNewTokens: 2 });
    expect([...positions]).toEqual([8]);
  });
});

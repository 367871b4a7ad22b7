import { type ReferenceApi, referenceOptions } from '../../../lib';
import { readGolden } from '../../support/goldens';

interface Refused {
  readonly api: ReferenceApi;
  readonly call: Readonly<Record<string, unknown>>;
  readonly error: { readonly type: string } | null;
}

const { cases } = readGolden<{ cases: Refused[] }>('families/sampling/errors.json');

test.each(cases.filter(({ error }) => error !== null))('$api refuses $call', ({ api, call }) => {
  expect(() => referenceOptions(api, call)).toThrow(/^args\.\w+ /);
});

test('unknown functions and arguments are refused by name', () => {
  expect(() => referenceOptions('llada.sample' as never)).toThrow("api must be one of 'llada.generate'");
  expect(() => referenceOptions('llada.generate', { step: 3 })).toThrow("args has no 'step'");
  expect(() => referenceOptions('llada.generate', null as never)).toThrow('args');
  expect(() => referenceOptions('dream.diffusion_generate', { steps: '8' })).toThrow('args.steps');
});

test('a threshold, an eps and a top_p of 0 mean what they mean in the reference', () => {
  const tiny = 2 ** -126;
  expect(referenceOptions('fastdllm.generate', { threshold: 0 })).toMatchObject({
    schedule: { schedule: { type: 'threshold', tau: tiny } },
  });
  expect(referenceOptions('llada2.generate', { threshold: 0 })).toMatchObject({
    schedule: { schedule: { type: 'threshold', tau: tiny } },
  });
  expect(referenceOptions('dream.diffusion_generate', { eps: 0, top_p: 0 })).toMatchObject({
    counts: { eps: 0 },
    topP: tiny,
  });
  expect(() => referenceOptions('llada2.generate', { top_p: 0 })).toThrow('args.top_p must be above 0');
});

test('lists of tokens and attention masks are checked', () => {
  const dllm = (args: object) => referenceOptions('dllm.MDLMSampler.sample', args as never);
  expect(dllm({ suppress_tokens: [3, 4] })).toMatchObject({ banned: [3, 4] });
  expect(() => dllm({ suppress_tokens: 3 })).toThrow('args.suppress_tokens must be');
  expect(() => dllm({ begin_suppress_tokens: ['a'] })).toThrow('args.begin_suppress_tokens[0]');
  const llada = (mask: unknown) => referenceOptions('llada.generate', { attention_mask: mask });
  for (const ones of [[[1, 1]], [true, true], new Int32Array([1, 1]), new BigInt64Array([1n])]) {
    expect(llada(ones)).toEqual(llada(undefined));
  }
  for (const other of [[[0, 1]], [1, 'x'], 1, 'ones']) {
    expect(() => llada(other)).toThrow('args.attention_mask must be a list of ones');
  }
});

test('arguments that are left out or None have the defaults of the reference', () => {
  const none = { temperature: null, top_p: null, top_k: null, alg_temp: null };
  expect(referenceOptions('dream.diffusion_generate', none)).toEqual(
    referenceOptions('dream.diffusion_generate'),
  );
  expect(referenceOptions('llada.generate')).toMatchObject({
    maxNewTokens: 128,
    schedule: { type: 'blocks', length: 128, steps: 128, schedule: 'confidence' },
  });
  expect(referenceOptions('llada2.generate', { gen_length: 64, minimal_topk: 4 })).toMatchObject({
    schedule: { length: 32, steps: 16, schedule: { tau: 0.95, strict: true } },
    stopAtEos: 'block',
  });
});

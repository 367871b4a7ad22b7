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

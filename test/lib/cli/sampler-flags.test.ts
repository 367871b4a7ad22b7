import type { TokenOptions } from '../../../lib';
import { familyFolder, openFamily } from '../../support/families';
import { closeModels } from '../../support/models';
import { samplerOptions } from '../../support/sampler-options';
import { jsonLines, rnd1 } from './rnd1';

afterAll(closeModels);

const prefix = [17, 230, 5, 99, 41, 8];
const given = ['generate', '--tokens', prefix.join(), '-n', '24', '--seed', '5', '--dtype', 'f32', '--json'];
const generate = (checkpoint: 'tiny-llada' | 'tiny-qwen3', flags: readonly string[]) =>
  rnd1([...given, '--model', familyFolder(checkpoint), ...flags]);

test.each(samplerOptions)('$flags', async ({ options, flags }) => {
  const { code, stdout, stderr } = await generate('tiny-llada', flags);
  expect({ code, stderr: stderr.replace(/^rnd1: --seed has no effect.*\n/, '') }).toEqual({
    code: 0,
    stderr: '',
  });
  const { tokens, steps, forwards } = jsonLines(stdout).at(-1);
  const model = await openFamily('tiny-llada');
  const call = { prefix, maxNewTokens: 24, seed: 5, stopAtEos: false };
  const expected = await model.generateTokens({ ...call, ...options });
  expect(tokens).toEqual([...expected.tokens]);
  expect({ steps, forwards }).toEqual({ steps: expected.steps, forwards: expected.forwards });
  const committed = async (more: TokenOptions) => {
    const frames: number[][] = [];
    for await (const frame of model.denoiseTokens({ ...call, ...more })) frames.push([...frame.committed]);
    return frames;
  };
  expect(await committed(options)).not.toEqual(await committed({}));
});

test.each<[string[], string]>([
  [['--cfg-scale', '-1'], '--cfg-scale <number>'],
  [['--alg-temp', 'x'], '--alg-temp <number>'],
  [['--counts', 'some'], 'Allowed choices are proportional, even, rounded, linear'],
  [['--editing', '2'], 'Expected a number from 0 to 1'],
  [['--cache', 'all'], 'Allowed choices are prefix, dual, off'],
  [['--refresh', '0'], 'Expected an integer of at least 1'],
  [['--refresh', '2'], 'refresh needs cache'],
  [['--cache', 'dual', '--cfg-scale', '1'], "cache 'dual' and --cfg-scale exclude each other"],
  [['--alg-temp', '1', '--schedule', 'threshold=0.5'], '--alg-temp needs a schedule'],
])('%j is wrong usage', async (flags, problem) => {
  const { code, stdout, stderr } = await generate('tiny-llada', flags);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(problem);
});

test('a causal model refuses what it cannot do', async () => {
  const { code, stderr } = await generate('tiny-qwen3', ['--cfg-scale', '1']);
  expect(code).toBe(2);
  expect(stderr).toContain('--cfg-scale');
});

test('--cache off keeps nothing', async () => {
  const [cached, plain] = [
    await generate('tiny-qwen3', []),
    await generate('tiny-qwen3', ['--cache', 'off']),
  ];
  expect(plain.code).toBe(0);
  expect(jsonLines(plain.stdout).at(-1).tokens).toEqual(jsonLines(cached.stdout).at(-1).tokens);
});

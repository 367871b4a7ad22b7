import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type DiffusionLM, type ReferenceApi, referenceOptions, type TokenFrame } from '../../lib';
import { type Checkpoint, openFamily } from '../support/families';
import { fixturesFolder, readGolden } from '../support/goldens';
import { closeModels } from '../support/models';

/** One forward pass of a reference. */
interface Pass {
  /** The canvas before it: as much of it as the pass sees. */
  readonly tokens: readonly number[];
  readonly masked: readonly number[];
  readonly pred?: readonly number[];
  readonly conf?: readonly number[];
  /** Uniform draws that decide which positions are committed. */
  readonly u?: readonly number[];
  readonly unmasked: readonly number[];
  readonly edited?: readonly number[];
}

interface Trace {
  readonly api: ReferenceApi;
  readonly args: Readonly<Record<string, unknown>>;
  readonly checkpoint: Checkpoint;
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
  readonly steps: readonly Pass[];
  readonly mask_token_id?: number;
  readonly eos_token_id?: number;
  readonly eot_token_id?: number;
}

const names = readdirSync(join(fixturesFolder, 'families', 'sampling'))
  .map((file) => file.replace('.json', ''))
  .filter((name) => name.includes('--') && !name.includes('greedy'));

/** The end tokens of LLaDA are written into its code, so that no argument names them. */
function argumentsOf({ api, args, eos_token_id, eot_token_id }: Trace): Trace['args'] {
  return api === 'llada.generate' ? { ...args, eos_token_id, eot_token_id } : args;
}

/** The uniform draws of a recorded run. */
const drawsOf =
  ({ steps }: Trace) =>
  (step: number, positions: Int32Array) => {
    const { masked, u, conf = [] } = steps[step - 1] as Pass;
    const numbers = u ?? conf;
    return Array.from(positions, (position) => numbers[masked.indexOf(position)] as number);
  };

async function replay(model: DiffusionLM, trace: Trace) {
  const options = referenceOptions(trace.api, argumentsOf(trace));
  const recorded = trace.args.remasking === 'random' || trace.args.alg === 'origin';
  const frames: TokenFrame[] = [];
  const generator = model.denoiseTokens({
    prefix: trace.prompt,
    ...(trace.mask_token_id !== undefined && { maskTokenId: trace.mask_token_id }),
    ...options,
    ...(recorded && { draws: drawsOf(trace) }),
  });
  for (;;) {
    const next = await generator.next();
    if (next.done) return { frames, result: next.value };
    frames.push(next.value);
  }
}

afterAll(closeModels);

test('there are all traces that draw nothing or have their draws recorded', () => {
  expect(names).toHaveLength(60);
});

describe.each(names)('%s', (name) => {
  const trace = readGolden<Trace>(`families/sampling/${name}.json`);
  const { steps, tokens, prompt, api } = trace;

  test('is written canvas by canvas', async () => {
    const { frames, result } = await replay(await openFamily(trace.checkpoint), trace);
    const ownTokens = api.startsWith('llada2') ? [...prompt, ...tokens] : tokens;
    for (const [index, pass] of steps.entries()) {
      const frame = frames[index] as TokenFrame;
      const after = steps[index + 1]?.tokens ?? ownTokens;
      const { length } = after;
      expect({ index, tokens: [...frame.tokens.subarray(0, length)] }).toEqual({ index, tokens: [...after] });
      // The last canvas is recorded up to the end of the result.
      const edited = [...frame.edited].filter((position) => position < length);
      expect(edited).toEqual([...(pass.edited ?? [])]);
      const committed = [...frame.committed].filter((one) => one < length && !edited.includes(one));
      const unmasked = committed.filter((position) => frame.masked[position] === 0);
      expect({ index, unmasked }).toEqual({ index, unmasked: [...pass.unmasked].sort((a, b) => a - b) });
    }
    expect(frames).toHaveLength(steps.length);
    expect([...result.tokens]).toEqual(ownTokens);
  });
});

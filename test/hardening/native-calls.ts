import { join } from 'node:path';
import { readConfig } from '../../lib/checkpoint/config';
import { readManifest } from '../../lib/checkpoint/manifest';
import { selectTensors } from '../../lib/checkpoint/tensors';
import { plainCanvas, plainPlan } from '../../lib/denoising/state';
import { loadBinding, type Native } from '../../lib/runtime/binding';
import { failureOf, root } from './support';

type SessionDescription = Parameters<Native['Session']['load']>[0];
export type Session = Awaited<ReturnType<Native['Session']['load']>>;
type StepCanvas = Parameters<Session['step']>[0][number];
type ForwardRequest = Parameters<Session['forward']>[0][number];

/** Calls of the addon itself, right ones, to be made wrong. */
export const native = loadBinding();

export const plan: StepCanvas['plan'] = {
  ...plainPlan,
  eligible: null,
  order: 'entropy',
  limit: 'keep',
  value: 0,
  temperature: 1,
  topK: 0,
  topP: 1,
  greedy: true,
  seed: 0n,
  round: 1,
  banned: new Int32Array(),
};
export const canvas: StepCanvas = {
  ...plainCanvas,
  tokens: Int32Array.of(1, 7, 7),
  masked: Int32Array.of(1, 2),
  plan,
};
export const request: ForwardRequest = {
  tokens: Int32Array.of(1, 2),
  rows: null,
  logits: true,
  hidden: false,
  routing: false,
  forcedExperts: null,
  block: null,
};

export async function describeModel(): Promise<SessionDescription> {
  const folder = join(root, 'test', 'fixtures', 'tiny-moe');
  const config = await readConfig(folder);
  const manifest = await readManifest(folder);
  const { tensors } = selectTensors(manifest, config);
  const { architecture } = config;
  return { architecture, files: manifest.files, tensors, device: 'cpu', dtype: 'f32', threads: 2 };
}

/** A session for the test file; at its end it must step as it did at first. */
export function openSession(): { description: SessionDescription; session: Session; before: unknown } {
  const opened = {} as ReturnType<typeof openSession>;
  beforeAll(async () => {
    opened.description = await describeModel();
    opened.session = await native.Session.load(opened.description, null, null);
    opened.before = await opened.session.step([canvas], null, null);
  });
  afterAll(async () => {
    expect(await opened.session.step([canvas], null, null)).toEqual(opened.before);
    await opened.session.dispose();
  });
  return opened;
}

/** It fails with a JavaScript error that says what it must. */
export async function refuses(call: () => unknown, said: string): Promise<void> {
  const { name, code, message } = await failureOf(call);
  expect(code ?? name).toMatch(/^(TypeError|RangeError|invalid_checkpoint|unsupported_model|io|disposed)$/);
  expect(message).toContain(said);
}

export const missing = [undefined, null, 7, 'text', {}, [], Symbol('s'), 1n, () => 1];
export const noArrays = [
  ...missing,
  [1, 2],
  new Float32Array(2),
  new BigInt64Array(2),
  new DataView(new ArrayBuffer(8)),
];
export const noNumbers = [
  ...missing.filter((value) => value !== 7),
  Number.NaN,
  1.5,
  -1,
  Infinity,
  2 ** 53,
  1e300,
];

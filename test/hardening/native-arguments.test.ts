import type { LayerDescription } from '../../lib';
import {
  canvas,
  missing,
  native,
  noArrays,
  noNumbers,
  openSession,
  plan,
  refuses,
  request,
} from './native-calls';
import { failureOf } from './support';
import { detached } from './wrong-values';

/** Fields that the TypeScript side never gives the addon: each time a JavaScript error that names the field. */
const opened = openSession();

/** By field: values of it that are refused, in an error that names the field. */
type Fields = Record<string, readonly unknown[]>;
const except = (values: readonly unknown[], ...allowed: unknown[]) =>
  values.filter((value) => !allowed.includes(value));

const plans: Fields = {
  order: [...missing, 'best'],
  limit: [...missing, 'best'],
  value: except(noNumbers, Infinity, 2 ** 53, 1e300),
  temperature: [...except(noNumbers, 1.5, 2 ** 53)],
  topK: noNumbers,
  topP: except(noNumbers, Number.NaN, 1.5, -1, Infinity, 2 ** 53, 1e300),
  greedy: [...missing, 1],
  rawConfidence: [...missing, 1],
  topPFirst: [...missing, 1],
  strict: [...missing, 1],
  atLeast: except(noNumbers, 2 ** 31 - 1),
  editAbove: except(noNumbers, 1.5, Infinity, 2 ** 53, 1e300),
  orderTemperature: except(noNumbers, 1.5, 2 ** 53, 1e300),
  seed: except([...missing, 1, 1.5], missing[7]),
  round: noNumbers,
  banned: [...noArrays, Int32Array.of(512), Int32Array.of(-1)],
  zeroed: [...noArrays, Int32Array.of(512), Int32Array.of(-1)],
  editable: [...except(noArrays, null), Int32Array.of(0), Int32Array.of(2, 1), Int32Array.of(1, 1)],
  eligible: [
    ...except(noArrays, undefined, null),
    Int32Array.of(0),
    Int32Array.of(2, 1),
    Int32Array.of(1, 1),
  ],
};
const canvases: Fields = {
  tokens: [...noArrays, new Int32Array(), new Int32Array(4097), Int32Array.of(1, 512, 7), detached()],
  masked: [
    ...noArrays,
    ...[[], [2, 1], [1, 1], [3], [-1]].map((positions) => Int32Array.from(positions)),
    detached(),
  ],
  plan: except(missing, ...missing.slice(4, 6), missing[8]),
  shift: [...except(noNumbers, null), 2, -1, 0.5],
  guidance: [
    ...except(missing, null),
    { scale: Number.NaN, tokens: Int32Array.of(1, 7, 7) },
    { scale: 1, tokens: Int32Array.of(1, 7) },
    { scale: 1, tokens: Int32Array.of(1, 7, 512) },
    { tokens: Int32Array.of(1, 7, 7) },
  ],
};
const requests: Fields = {
  tokens: canvases.tokens as unknown[],
  rows: [...except(noArrays, undefined, null), Int32Array.of(2), Int32Array.of(-1)],
  logits: [...missing, 1],
  hidden: [...missing, 1],
  routing: [...missing, 1],
  forcedExperts: [
    ...except(noArrays, undefined, null),
    new Int32Array(11),
    Int32Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? 8 : 0)),
    new Int32Array(12),
  ],
  block: [...except(noNumbers, undefined, null), 2 ** 31],
};
const sizesOf = (...names: string[]): Fields =>
  Object.fromEntries(names.map((name) => [name, [...noNumbers, 0]]));
const noObject = except(missing, ...missing.slice(4, 6), missing[8]);
const architectures: Fields = {
  ...sizesOf('hidden', 'vocabulary', 'maxPositions'),
  layers: [...missing, [7], [null], new Array(1), [{}]],
  rmsNormEpsilon: missing.filter((value) => value !== 7),
  tiedHead: missing,
  predictionShift: [...noNumbers, 2],
  keepsFirst: missing,
};
const layers: Fields = { attention: noObject, mlp: noObject };
const attentions: Fields = {
  ...sizesOf('heads', 'keyValueHeads', 'headDim', 'rotaryWidth'),
  bias: missing,
  headNorms: missing,
  ropeTheta: missing.filter((value) => value !== 7),
  block: [...noNumbers, 2 ** 31],
};
const mlps: Fields = {
  ...sizesOf('experts', 'expertsPerToken', 'width'),
  kind: [...missing, 'sparse'],
  sharedWidth: noNumbers,
  router: noObject,
};
const routers: Fields = {
  score: [...missing, 'tanh'],
  selectionBias: missing,
  groups: except(missing, undefined, null, ...missing.slice(4, 6), missing[8]),
  normalise: missing,
  scale: missing.filter((value) => value !== 7),
};
const groups: Fields = sizesOf('count', 'kept');
const descriptions: Fields = {
  architecture: noObject,
  files: [...except(missing, missing[5]), [7], [null], new Array(1)],
  tensors: [...except(missing, missing[5]), [7], [null], new Array(1)],
  device: [...missing, 'abacus', 'cuda:x', 'cpu\0'],
  dtype: [...missing, 'f64', 'auto'],
  threads: [...noNumbers, 0, 1025],
};
const tensors: Fields = {
  role: missing.filter((value) => value !== 'text'),
  name: missing.filter((value) => value !== 'text'),
  file: noNumbers,
  offset: noNumbers,
  dtype: [...missing, 'i8'],
  shape: [...except(missing, missing[5]), ['8'], [Number.NaN], [8.5], [-8], new Array(1)],
};

const noObjects = [undefined, null, 7, 'text', Symbol('s'), 1n];
const places: Fields = { file: noNumbers, offset: noNumbers };
const quantizations: Fields = { dtype: [...missing, 'f32', 'q6'], group: [...noNumbers, 0, 48, 65] };
const quantizedTensors: Fields = { ...quantizations, scales: noObjects, minimums: noObjects };
const shards: Fields = {
  files: descriptions.files as unknown[],
  path: missing.filter((value) => value !== 'text'),
  tensors: descriptions.tensors as unknown[],
  threads: descriptions.threads as unknown[],
};
const { role: _, ...storedTensors } = tensors;
const shardTensors: Fields = {
  ...storedTensors,
  shape: [...(tensors.shape as unknown[]), [0, 8], [2 ** 30, 2 ** 30]],
  data: noNumbers,
};
const targetsOfShards: Fields = { ...quantizations, scales: noNumbers, minimums: noNumbers };

/** With getters left as they are. */
function merge<T extends object>(base: T, change: object): T {
  return Object.defineProperties({ ...base }, Object.getOwnPropertyDescriptors(change));
}

const load = (change: object) => native.Session.load(merge(opened.description, change), null, null);
const loadArchitecture = (change: object) =>
  load({ architecture: merge(opened.description.architecture, change) });
const firstLayer = () => opened.description.architecture.layers[0] as LayerDescription;
const loadLayer = (change: object) => loadArchitecture({ layers: [merge(firstLayer(), change)] });
const loadRouter = (change: object) => {
  const { mlp } = firstLayer();
  if (mlp.kind === 'dense') throw new Error('the first layer has no experts');
  return loadLayer({ mlp: merge(mlp, { router: merge(mlp.router, change) }) });
};
const place = { file: 0, offset: 0 };
const peaks: Fields = {
  device: descriptions.device as unknown[],
  dtype: descriptions.dtype as unknown[],
  threads: descriptions.threads as unknown[],
  effort: [...noNumbers, 0, 1.001],
};
const q4 = { dtype: 'q4', group: 64 };
const loadQuantized = (change: object) =>
  load({
    tensors: [merge({ ...opened.description.tensors[0], ...q4, scales: place, minimums: place }, change)],
  });
const fill = (change: object) => {
  const tensor = { ...opened.description.tensors[0], data: 0, quantized: { ...q4, scales: 0, minimums: 0 } };
  const shard = {
    files: opened.description.files,
    path: '/nonexistent/shard',
    tensors: [tensor],
    threads: 1,
  };
  return native.fillShard(merge(shard, change) as never, null, null);
};
const fillTensor = (change: object) =>
  fill({ tensors: [merge({ ...opened.description.tensors[0], data: 0, quantized: null }, change)] });

const targets: Record<string, readonly [Fields, (change: object) => unknown]> = {
  plan: [
    plans,
    (change) => opened.session.step([canvas, { ...canvas, plan: merge(plan, change) }], null, null),
  ],
  canvas: [canvases, (change) => opened.session.step([merge(canvas, change)], null, null)],
  'canvas of logits': [
    canvases,
    (change) => native.scoreAndUnmask(new Float32Array(3 * 512), 512, merge(canvas, change)),
  ],
  request: [requests, (change) => opened.session.forward([merge(request, change)], null)],
  architecture: [architectures, loadArchitecture],
  layer: [layers, loadLayer],
  attention: [attentions, (change) => loadLayer({ attention: merge(firstLayer().attention, change) })],
  mlp: [mlps, (change) => loadLayer({ mlp: merge(firstLayer().mlp, change) })],
  router: [routers, loadRouter],
  'groups of a router': [groups, (change) => loadRouter({ groups: merge({ count: 2, kept: 1 }, change) })],
  description: [descriptions, load],
  quantize: [quantizations, (change) => load({ quantize: merge(q4, change) })],
  'quantized tensor': [quantizedTensors, loadQuantized],
  'scales of a tensor': [places, (change) => loadQuantized({ scales: merge(place, change) })],
  shard: [shards, fill],
  'tensor of a shard': [shardTensors, fillTensor],
  'integers of a shard': [
    targetsOfShards,
    (change) => fillTensor({ quantized: merge({ ...q4, scales: 0, minimums: 0 }, change) }),
  ],
  peaks: [
    peaks,
    (change) =>
      native.measurePeaks(merge({ device: 'cpu', dtype: 'f32', threads: 1, effort: 0.001 }, change) as never),
  ],
  tensor: [tensors, (change) => load({ tensors: [merge(opened.description.tensors[0] as object, change)] })],
};

describe.each(Object.entries(targets))('%s', (target, [fields, call]) => {
  it.each(Object.keys(fields))('refuses wrong %s', async (field) => {
    for (const value of fields[field] as unknown[]) {
      // An error of the engine names the key that is missing in what is no object.
      const name = target === 'canvas of logits' && field === 'tokens' ? '' : field;
      await refuses(() => call({ [field]: value }), ['layers'].includes(name) ? '' : name.slice(0, 6));
    }
  });

  it.each(Object.keys(fields))('passes on what a getter of %s throws', async (field) => {
    const thrown = new Error('from the getter');
    const change = Object.defineProperty({}, field, {
      get() {
        throw thrown;
      },
      enumerable: true,
    });
    expect(await failureOf(() => call(change))).toBe(thrown);
  });
});

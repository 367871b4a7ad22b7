/**
 * Calls every export of an addon in a JavaScript whose classes and prototypes have been tampered with, and compares
 * what comes with what came before. Run by tampered.test.ts, and with an addon under AddressSanitizer by
 * scripts/sanitized-addon.ts:
 *
 *     node --expose-gc test/hardening/tampered.cjs ADDON DESCRIPTION.json
 */
const { readFileSync, writeFileSync, mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join, resolve } = require('node:path');
const { isDeepStrictEqual } = require('node:util');

const native = require(resolve(process.argv[2]));
const description = JSON.parse(readFileSync(process.argv[3], 'utf8'));
const folder = mkdtempSync(join(tmpdir(), 'rnd1-tampered-'));
const shard = join(folder, 'shard');

const plan = {
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
  editable: null,
  editAbove: 1,
  strict: false,
  atLeast: 1,
  orderTemperature: 0,
  topPFirst: false,
  zeroed: new Int32Array(),
  rawConfidence: false,
};
const { vocabulary } = description.architecture;
const tokens = Int32Array.from({ length: 60 }, (_, i) => (i * 7) % vocabulary);
const everyRow = Int32Array.from({ length: 60 }, (_, i) => i);
const canvas = { tokens, masked: Int32Array.of(1, 2, 30), plan, shift: null, guidance: null };
const request = { tokens, rows: null, logits: true, hidden: true, routing: true, forcedExperts: null, block: null };
const logits = Float32Array.from({ length: tokens.length * 5 }, (_, i) => Math.sin(i));
const small = { tokens: tokens.map((token) => token % 5), masked: canvas.masked, plan };
const counter = Uint32Array.of(1, 2, 3, 4);
const first = description.tensors[0];
const shardDescription = {
  files: description.files,
  path: shard,
  threads: 2,
  tensors: [{ ...first, data: 0, quantized: null }],
};
const canvases = [canvas, { ...canvas, plan: { ...plan, greedy: false, topK: 3 } }];
const requests = [request, request];
const wrong = { ...request, tokens: Int32Array.of(-1) };

const { architecture, files, tensors } = description;
const opening = {
  architecture,
  files,
  tensors,
  device: 'cpu',
  threads: 2,
  frozen: ['norm'],
  recompute: 'none',
  dtype: 'bf16',
};
const trainingBatch = {
  tokens,
  offsets: Int32Array.of(0, 60),
  block: null,
  rows: everyRow,
  targets: tokens,
  weights: new Float32Array(60).fill(0.1),
  auxCoef: 0.1,
  auxScope: 'layer',
  zCoef: 0.1,
};
const wrongBatch = { ...trainingBatch, targets: tokens.map(() => -1) };
const rates = new Float64Array(tensors.length).fill(0.1);
const moments = { beta1: 0.9, beta2: 0.9, epsilon: 1e-8, step: 1, maxNorm: 1, batchNorms: true };
const optimizerStep = { learningRates: rates, weightDecays: rates, ...moments };
const replacement = new Float32Array(architecture.hidden);

/** A step of training, and what the trainer tells. */
async function train(results, keep) {
  const trainer = await native.Trainer.open(opening, () => {}, new native.AbortFlag());
  results.trainerInfo = trainer.info.parameters;
  await keep('lossAndGradients', () => trainer.lossAndGradients([trainingBatch], null));
  await keep('lossesAlone', () => trainer.losses([trainingBatch], null));
  await keep('trained', async () => {
    const outcome = await trainer.step([trainingBatch, trainingBatch], optimizerStep, null);
    const { forward, backward, optimizer } = outcome;
    return { ...outcome, forward: forward > 0, backward: backward > 0, optimizer: optimizer > 0 };
  });
  await keep('moment', () => trainer.read('embedding', 'firstMoment'));
  await keep('frozenGradient', () => trainer.read('norm', 'gradient'));
  await keep('written', () => trainer.write('norm', 'value', replacement));
  await keep('wrongBatch', () => trainer.lossAndGradients([wrongBatch], null));
  await trainer.dispose();
  await keep('trainerGone', () => trainer.read('norm', 'value'));
}

/** Whatever native code gives, by name; errors as what they say. */
async function everything() {
  const results = {};
  const keep = async (name, call) => {
    try {
      results[name] = await call();
    } catch (error) {
      results[name] = { message: error.message, code: error.code };
    }
  };
  writeFileSync(shard, '');
  const progress = () => {};
  const session = await native.Session.load(description, progress, new native.AbortFlag());
  const { info } = session;
  results.info = info;
  const aborted = new native.AbortFlag();
  aborted.abort();
  results.aborted = aborted.aborted;
  await keep('forward', () => session.forward(requests, null));
  await keep('step', () => session.step(canvases, null, null));
  await keep('abort', () => session.step(canvases, null, aborted));
  const store = await session.createCache(60);
  const cache = { store, rows: everyRow };
  await keep('cache', () => session.step([{ ...canvas, cache }], null, null));
  await keep('cachedForward', () => session.forward([{ ...request, cache }], null));
  results.cacheSizes = [store.positions, store.bytes, session.cacheBytes];
  store.dispose();
  await keep('wrong', () => session.forward([wrong], null));
  await keep('missing', () => native.Session.load({ ...description, files: [] }, null, null));
  await keep('scoreAndUnmask', () => native.scoreAndUnmask(logits, 5, small));
  await keep('fillShard', () => native.fillShard(shardDescription, progress, null));
  await keep('philox', () => native.philox(1n, counter, 9));
  await keep('system', () => native.system());
  await keep('peaks', async () => {
    const peaks = await native.measurePeaks({ device: 'cpu', dtype: 'f32', threads: 1, effort: 0.001 });
    // Times differ.
    return Object.entries(peaks).map(([name, rate]) => `${name} ${rate > 0}`);
  });
  await train(results, keep);
  // A pass that runs while its model goes.
  const pending = session.forward(requests, null).then(
    () => 'ended',
    ({ code }) => code,
  );
  const disposals = [session.dispose(), session.dispose()];
  for (const disposal of disposals) await disposal;
  results.interrupted = /^(aborted|disposed|ended)$/.test(await pending);
  await session.dispose();
  await keep('disposed', () => session.step(canvases, null, null));
  return results;
}

const own = { Object, Float32Array, Float64Array, Int32Array, Uint32Array, ArrayBuffer, Array, structuredClone, Reflect };
/** What setters and constructors were handed before its time. */
const stolen = [];
/** Takes the memory of everything that holds some. */
function steal(value) {
  if (own.ArrayBuffer.isView(value)) {
    stolen.push(value);
    own.structuredClone(value.buffer, { transfer: [value.buffer] });
  }
}

/** Each changes the language, and gives what undoes it. */
const tampering = {
  /** Classes that give less than they are asked for, and keep it. */
  classes() {
    const saved = {};
    for (const name of ['Float32Array', 'Float64Array', 'Int32Array', 'Uint32Array', 'ArrayBuffer']) {
      saved[name] = globalThis[name];
      globalThis[name] = function Smaller(count) {
        const array = new saved[name](Math.min(Number(count), 4));
        stolen.push(array);
        return array;
      };
    }
    for (const name of ['Object', 'Array', 'Error', 'TypeError', 'RangeError', 'Promise', 'Symbol', 'BigInt']) {
      saved[name] = globalThis[name];
      globalThis[name] = new Proxy(saved[name], {
        construct() {
          throw 'constructed';
        },
        apply() {
          throw 'called';
        },
      });
    }
    return () => own.Object.assign(globalThis, saved);
  },
  /** Setters that take what is stored, and getters that give nothing. */
  setters() {
    const names = ['logits', 'hidden', 'routerLogits', 'expertIds', 'expertWeights', 'predicted', 'confidence'];
    names.push('entropy', 'committed', 'notFinite', 'device', 'instructionSet', 'threads', 'dtype', 'weightBytes');
    names.push('losses', 'total', 'main', 'aux', 'z', 'gradientNorm', 'clipScale', 'applied', 'shape', 'frozen');
    names.push('crossEntropies', 'expertRows', 'squaredNorms', 'backward', 'optimizer');
    names.push('parameters', 'instructionSets', 'gpus', 'name', 'bytes', 'cudaUnavailable', 'code', '0', '1', '2');
    const prototypes = [own.Object.prototype, own.Array.prototype, Error.prototype];
    for (const typed of [own.Float32Array, own.Float64Array, own.Int32Array, own.Uint32Array]) prototypes.push(typed.prototype);
    // Arguments that have a name of their own are read as they are.
    for (const prototype of prototypes)
      for (const name of names)
        own.Object.defineProperty(prototype, name, {
          set: (value) => steal(value),
          get: () => undefined,
          configurable: true,
        });
    return () => {
      for (const prototype of prototypes) for (const name of names) delete prototype[name];
    };
  },
  /** What typed arrays say of themselves. */
  accessors() {
    const { prototype } = own.Object.getPrototypeOf(own.Int32Array);
    const saved = {};
    for (const name of ['length', 'byteLength', 'byteOffset', 'buffer']) {
      saved[name] = own.Object.getOwnPropertyDescriptor(prototype, name);
      own.Object.defineProperty(prototype, name, { get: () => 2 ** 30, configurable: true });
    }
    const { constructor } = prototype;
    const species = own.Object.getOwnPropertyDescriptor(constructor, Symbol.species);
    own.Object.defineProperty(constructor, Symbol.species, { get: () => own.Array, configurable: true });
    return () => {
      for (const [name, descriptor] of own.Object.entries(saved))
        own.Object.defineProperty(prototype, name, descriptor);
      own.Object.defineProperty(constructor, Symbol.species, species);
    };
  },
  /** A `then` that is looked for in every result, and runs code there. */
  lookups() {
    own.Object.defineProperty(own.Object.prototype, 'then', { get: () => gc(), configurable: true });
    return () => {
      delete own.Object.prototype.then;
    };
  },
};

async function main() {
  const expected = await everything();
  const verdicts = {};
  for (const [name, tamper] of Object.entries(tampering)) {
    const undo = tamper();
    let results;
    try {
      results = await everything();
    } catch (error) {
      results = { failed: String(error?.stack ?? error) };
    } finally {
      undo();
    }
    gc();
    const different = Object.keys(expected).filter((key) => !isDeepStrictEqual(results[key], expected[key]));
    verdicts[name] = { different, failed: results.failed, stolen: stolen.splice(0).length };
  }
  // Results are the caller's: what becomes of them concerns nobody else.
  const session = await native.Session.load(description, null, null);
  for (let round = 0; round < 20; round++) {
    const running = session.forward(requests, null);
    const [{ predicted, entropy }] = await session.step(canvases, null, null);
    const [{ logits: given }] = await running;
    const next = session.step(canvases, null, null);
    for (const array of [predicted, entropy, given]) structuredClone(array.buffer, { transfer: [array.buffer] });
    gc();
    await next;
  }
  await session.dispose();
  rmSync(folder, { recursive: true });
  console.log(JSON.stringify({ verdicts, names: Object.keys(expected), expected: expected.wrong }));
}

void main();

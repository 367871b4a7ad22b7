import { createSecureContext } from 'node:tls';
import type { LayerDescription } from '../../lib';
import { printedBy } from './children';
import {
  canvas,
  missing,
  native,
  noArrays,
  noNumbers,
  openSession,
  refuses,
  request,
  type Session,
} from './native-calls';
import { failureOf } from './support';
import { detached } from './wrong-values';

/** What can be done wrong with the exports of the addon beyond wrong fields: a JavaScript error, never a crash. */
const opened = openSession();

describe('lists, flags and callbacks', () => {
  it.each(['step', 'forward'] as const)('%s refuses what is no list of canvases', async (method) => {
    for (const wrong of [...missing, new Array(1), [null], [7], new Proxy([], {})]) {
      await refuses(() => opened.session[method](wrong as never, null, null), '');
    }
  });

  it('refuses what is no AbortFlag or function', async () => {
    const impostors = [Object.create(native.AbortFlag.prototype), new Proxy(new native.AbortFlag(), {})];
    const other = await native.Session.load(opened.description, null, null);
    await other.dispose();
    for (const wrong of [
      ...missing.slice(2),
      ...impostors,
      Object.setPrototypeOf(other, native.AbortFlag.prototype),
    ]) {
      for (const call of [
        () => opened.session.step([canvas], null, wrong),
        () => opened.session.forward([request], wrong),
        () => native.Session.load(opened.description, null, wrong),
      ]) {
        await refuses(call, 'abort');
      }
      if (typeof wrong !== 'function') {
        await refuses(() => native.Session.load(opened.description, wrong, null), 'onProgress');
      }
    }
  });

  it('refuses wrong logits and vocabularies', async () => {
    for (const logits of [...missing, new Float64Array(6), new Float32Array(5), new Int32Array(6)]) {
      await refuses(() => native.scoreAndUnmask(logits as never, 2, canvas), '');
    }
    for (const vocabulary of [...noNumbers, 0, 2 ** 25]) {
      await refuses(
        () => native.scoreAndUnmask(new Float32Array(6), vocabulary as never, canvas),
        'vocabulary',
      );
    }
  });

  it('philox refuses wrong arguments', async () => {
    const counter = new Uint32Array(4);
    for (const seed of [1, '1', null, undefined]) {
      await refuses(() => native.philox(seed as never, counter, 4), 'seed');
    }
    for (const wrong of [...noArrays, new Uint32Array(3), new Uint32Array(5), [1, 2, 3, 4], detached()]) {
      await refuses(() => native.philox(1n, wrong as never, 4), 'counter');
    }
    for (const count of [...noNumbers, 2 ** 25]) {
      await refuses(() => native.philox(1n, counter, count as never), 'count');
    }
  });
});

describe('this', () => {
  const getterOf = (prototype: object, name: string) =>
    Object.getOwnPropertyDescriptor(prototype, name)?.get as () => unknown;

  it('must be what the method or accessor belongs to', async () => {
    const flag = new native.AbortFlag();
    const { Session, AbortFlag } = native;
    for (const [method, others] of [
      [Session.prototype.step, [flag]],
      [Session.prototype.forward, [flag]],
      [Session.prototype.dispose, [flag]],
      [getterOf(Session.prototype, 'info'), [flag, Session.prototype]],
      [AbortFlag.prototype.abort, [opened.session]],
      [getterOf(AbortFlag.prototype, 'aborted'), [opened.session, AbortFlag.prototype]],
    ] as const) {
      for (const wrong of [
        undefined,
        null,
        {},
        new Proxy(opened.session, {}),
        new Proxy(flag, {}),
        ...others,
      ]) {
        await refuses(
          () => (method as (this: unknown, ...rest: unknown[]) => unknown).call(wrong, [], null),
          '',
        );
      }
    }
  });

  it('comes from Session.load and from nowhere else', async () => {
    const Session = native.Session as unknown as new (...given: unknown[]) => Session;
    const { context } = createSecureContext() as { context: { _external?: unknown } };
    // biome-ignore lint/complexity/useArrowFunction: a constructor
    const prototypeOnly = Reflect.construct.bind(null, function () {}, [], Session);
    for (const given of [[], [null], [opened.session], [context._external]]) {
      await refuses(() => new Session(...given), 'Session.load');
    }
    await refuses(() => new (class extends Session {})(), 'Session.load');
    await refuses(() => (prototypeOnly() as Session).step([canvas], null, null), '');
  });
});

describe('code that runs while arguments are read', () => {
  it('may dispose the model', async () => {
    for (const method of ['step', 'forward'] as const) {
      const doomed = await native.Session.load(opened.description, null, null);
      const fatal = {
        ...canvas,
        ...request,
        get tokens() {
          void doomed.dispose();
          return canvas.tokens;
        },
      };
      expect(await failureOf(() => doomed[method]([fatal], null, null))).toMatchObject({ code: 'disposed' });
    }
  });

  it('may transfer the logits away', async () => {
    const logits = new Float32Array(3 * 2 ** 20);
    const thief = {
      ...canvas,
      get tokens() {
        structuredClone(logits.buffer, { transfer: [logits.buffer] });
        return canvas.tokens;
      },
    };
    await refuses(() => native.scoreAndUnmask(logits, 2 ** 20, thief), 'not 0');
  });
});

it('a session may be disposed many times, at once, in the middle of a pass and after it', async () => {
  for (let round = 0; round < 20; round++) {
    const session = await native.Session.load(opened.description, null, null);
    const tokens = new Int32Array(400).fill(round);
    const pass = failureOf(async () => {
      await session.forward([{ ...request, tokens }], null);
      throw Object.assign(new Error('it ended'), { code: 'ended' });
    });
    if (round % 2 === 0) await new Promise(setImmediate);
    const disposals = Array.from({ length: 5 }, () => session.dispose());
    expect(await Promise.all(disposals)).toEqual(new Array(5).fill(undefined));
    expect(['aborted', 'disposed', 'ended']).toContain((await pass).code);
    expect(await session.dispose()).toBeUndefined();
    expect(await failureOf(() => session.step([canvas], null, null))).toMatchObject({ code: 'disposed' });
  }
});

it('arrays may share their memory', async () => {
  const shared = (values: Int32Array) => {
    const array = new Int32Array(new SharedArrayBuffer(values.byteLength));
    array.set(values);
    return array;
  };
  const { tokens, masked } = canvas;
  const sharing = { ...canvas, tokens: shared(tokens), masked: shared(masked) };
  expect(await opened.session.step([sharing], null, null)).toEqual(opened.before);
});

it.each(['layers', 'experts'])('%s that are not there take no memory', async (size) => {
  const { architecture } = opened.description;
  const [layer] = architecture.layers as readonly [LayerDescription, ...LayerDescription[]];
  const layers =
    size === 'layers'
      ? new Array<LayerDescription>(2 ** 14).fill(layer)
      : [{ ...layer, mlp: { ...layer.mlp, experts: 2 ** 24 } }];
  const largest = process.resourceUsage().maxRSS;
  await refuses(
    () =>
      native.Session.load({ ...opened.description, architecture: { ...architecture, layers } }, null, null),
    'layers.',
  );
  expect(process.resourceUsage().maxRSS - largest).toBeLessThan(200_000);
});

it('a result that memory cannot hold is an error', async () => {
  const printed = await printedBy(
    `const model = await DiffusionLM.load(tinyMoe, onCpu);
    const positions = new Int32Array(2 ** 22);
    const error = await model.forward([1], { positions }).catch((reason) => reason);
    const { shape } = await model.forward([1]);
    console.log(JSON.stringify([error.name, error.code, error.message, shape]));`,
    [],
    process.platform === 'linux' ? 6_000_000 : undefined,
  );
  if (process.platform === 'linux') {
    expect(printed).toEqual(['RND1Error', 'out_of_memory', expect.stringContaining('logits'), [1, 512]]);
  }
});

import { setMaxListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { StepReport } from '../../../lib/api/types';
import { Batcher, type BlockCanvas } from '../../../lib/runtime/batcher';
import { RND1Error } from '../../../lib/support/errors';
import { setOwner } from '../../../lib/support/owners';
import { FakeFlag, FakeSession } from './fake-session';

const vocabulary = 11;

function canvas(length: number, seed = 0, block: number | null = null): BlockCanvas {
  const tokens = Int32Array.from({ length }, (_, i) => (i * 3 + seed) % vocabulary);
  return {
    tokens,
    masked: Int32Array.of(1, length - 1),
    plan: {
      eligible: null,
      order: 'entropy',
      limit: 'keep',
      value: 0,
      strict: false,
      atLeast: 1,
      editable: null,
      editAbove: 1,
      temperature: 1,
      topK: 0,
      topP: 1,
      topPFirst: false,
      rawConfidence: false,
      greedy: true,
      orderTemperature: 0,
      seed: 0n,
      round: 1,
      banned: new Int32Array(),
      zeroed: new Int32Array(),
    },
    shift: null,
    guidance: null,
    block,
  };
}

/** A promise that the fake session awaits, and the function that resolves it. */
function gate(): { readonly closed: Promise<void>; open(): void } {
  let open = () => {};
  const closed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { closed, open };
}

/** Waits until everything that is not behind a gate has run. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await nextTurn();
}

const lengthsOf = ({ batches }: FakeSession) =>
  batches.map((batch) => batch.map(({ tokens }) => tokens.length));

let session: FakeSession;
let batcher: Batcher;
beforeEach(() => {
  session = new FakeSession(vocabulary);
  batcher = new Batcher(session, () => new FakeFlag());
});

describe('packing', () => {
  it('packs all canvases that wait while the session is idle into one step', async () => {
    const alone = await new FakeSession(vocabulary).step(
      [canvas(4), canvas(5), canvas(6)],
      null,
      new FakeFlag(),
    );
    const together = await Promise.all([4, 5, 6].map((length) => batcher.step(canvas(length))));
    expect(together).toEqual(alone);
    expect(lengthsOf(session)).toEqual([[4, 5, 6]]);
  });

  it('runs canvases one by one if memory is short for all together', async () => {
    const alone = await new FakeSession(vocabulary).step([canvas(4), canvas(5)], null, new FakeFlag());
    const crowded = new FakeSession(vocabulary);
    const step = crowded.step.bind(crowded);
    const full = Object.assign(new Error('no room'), { code: 'out_of_memory' });
    crowded.step = async (canvases, block, flag) => {
      if (canvases.length > 1 || canvases[0]?.tokens.length === 6) throw full;
      return step(canvases, block, flag);
    };
    const shared = new Batcher(crowded, () => new FakeFlag());
    const results = await Promise.allSettled([4, 6, 5].map((length) => shared.step(canvas(length))));
    expect(results[0]).toEqual({ status: 'fulfilled', value: alone[0] });
    expect(results[1]).toMatchObject({ status: 'rejected', reason: { code: 'out_of_memory' } });
    expect(results[2]).toEqual({ status: 'fulfilled', value: alone[1] });
  });

  it('packs canvases of the same attention block only', async () => {
    const lengths = [4, 5, 6, 7].map((length) => [length, length === 6 ? 8 : null] as const);
    await Promise.all(lengths.map(([length, block]) => batcher.step(canvas(length, 0, block))));
    expect(lengthsOf(session)).toEqual([[4, 5], [6], [7]]);
    expect(session.blocks).toEqual([null, 8, null]);
  });

  it('packs canvases that arrive during a step into the next one', async () => {
    const { closed, open } = gate();
    session.beforeResult = () => closed;
    const first = batcher.step(canvas(4));
    await settle();
    const others = [batcher.step(canvas(5)), batcher.step(canvas(6))];
    await settle();
    expect(lengthsOf(session)).toEqual([[4]]);
    open();
    await Promise.all([first, ...others]);
    expect(lengthsOf(session)).toEqual([[4], [5, 6]]);
  });

  it('waits for all calls that the same step resolved', async () => {
    const loop = async (length: number, depth: number) => {
      for (let i = 0; i < 3; i++) {
        await batcher.step(canvas(length));
        for (let j = 0; j < depth; j++) await null;
      }
    };
    await Promise.all([loop(4, 0), loop(5, 7), loop(6, 30)]);
    expect(lengthsOf(session)).toEqual([
      [4, 5, 6],
      [4, 5, 6],
      [4, 5, 6],
    ]);
  });

  it('is bounded in rows, in order of arrival, and lets a longer canvas go alone', async () => {
    batcher = new Batcher(session, () => new FakeFlag(), { maxRows: 10 });
    await Promise.all([4, 6, 3, 7, 3, 25, 5].map((length) => batcher.step(canvas(length))));
    expect(lengthsOf(session)).toEqual([[4, 6], [3, 7], [3], [25], [5]]);
  });
});

describe('fairness', () => {
  /** Runs one step after another, as the loop does. */
  const loop = async (length: number, steps: number) => {
    for (let i = 0; i < steps; i++) await batcher.step(canvas(length));
  };

  it('lets canvases that do not fit into one step take turns', async () => {
    batcher = new Batcher(session, () => new FakeFlag(), { maxRows: 10 });
    await Promise.all([4, 5, 6, 7].map((length) => loop(length, 5)));
    const taken = new Map<number, number>();
    for (const batch of lengthsOf(session)) {
      for (const length of batch) taken.set(length, (taken.get(length) ?? 0) + 1);
      const counts = [4, 5, 6, 7].map((length) => taken.get(length) ?? 0);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }
    expect([...taken.values()]).toEqual([5, 5, 5, 5]);
  });

  it('does not let short canvases keep a long one waiting', async () => {
    batcher = new Batcher(session, () => new FakeFlag(), { maxRows: 10 });
    const short = Array.from({ length: 4 }, () => loop(3, 20));
    await batcher.step(canvas(3));
    const before = session.batches.length;
    await batcher.step(canvas(10));
    expect(session.batches.length - before).toBeLessThanOrEqual(4);
    await Promise.all(short);
  });

  it('lets owners take turns, whatever number of canvases each has', async () => {
    batcher = new Batcher(session, () => new FakeFlag(), { maxRows: 10 });
    const signalOf = (owner: string) => {
      const { signal } = new AbortController();
      setMaxListeners(0, signal);
      setOwner(signal, owner);
      return signal;
    };
    const many = signalOf('many');
    const greedy = Array.from({ length: 12 }, async () => {
      for (let i = 0; i < 4; i++) await batcher.step(canvas(9), many);
    });
    await batcher.step(canvas(9), many);
    const before = session.batches.length;
    const few = signalOf('few');
    for (let i = 0; i < 3; i++) await batcher.step(canvas(8), few);
    expect(session.batches.length - before).toBeLessThanOrEqual(2 * 3 + 1);
    await Promise.all(greedy);
    expect(
      lengthsOf(session)
        .flat()
        .filter((length) => length === 9),
    ).toHaveLength(12 * 4 + 1);
  });
});

describe('reports', () => {
  it('list the canvases, rows and seconds of a step', async () => {
    const reports: StepReport[] = [];
    batcher = new Batcher(session, () => new FakeFlag(), { onStep: (report) => reports.push(report) });
    session.alter = (result, { tokens }) => ({ ...result, notFinite: tokens.length === 5 });
    await Promise.all([batcher.step(canvas(4)), batcher.step(canvas(5))]);
    expect(reports).toEqual([
      { canvases: 2, rows: 9, masked: 4, committed: 2, edited: 0, seconds: expect.any(Number) },
    ]);
  });

  it('count the rows that are computed, as the limit does', async () => {
    const reports: StepReport[] = [];
    batcher = new Batcher(session, () => new FakeFlag(), {
      maxRows: 8,
      onStep: (report) => reports.push(report),
    });
    const cached = { ...canvas(90), cache: { store: {} as never, rows: Int32Array.of(88, 89) } };
    await Promise.all([batcher.step(canvas(6)), batcher.step(cached), batcher.step(canvas(5))]);
    expect(reports.map(({ rows, canvases }) => [rows, canvases])).toEqual([
      [8, 2],
      [5, 1],
    ]);
  });

  it('are not made of steps that fail', async () => {
    const onStep = jest.fn();
    batcher = new Batcher(session, () => new FakeFlag(), { onStep });
    session.beforeResult = () => {
      throw new Error('no');
    };
    await expect(batcher.step(canvas(4))).rejects.toThrow('no');
    expect(onStep).not.toHaveBeenCalled();
  });
});

describe('aborting', () => {
  it('rejects at once and leaves the others of the step', async () => {
    const { closed, open } = gate();
    session.beforeResult = () => closed;
    const controller = new AbortController();
    const aborted = batcher.step(canvas(4), controller.signal);
    const other = batcher.step(canvas(5));
    await settle();
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    expect(session.flags[0]?.aborted).toBe(false);
    open();
    expect((await other).committed).toHaveLength(2);
    expect(lengthsOf(session)).toEqual([[4, 5]]);
  });

  it('aborts the native step once all its canvases are aborted', async () => {
    session.beforeResult = () => gate().closed;
    const controllers = [new AbortController(), new AbortController()];
    const steps = controllers.map(({ signal }) => batcher.step(canvas(4), signal));
    const outcomes = Promise.allSettled(steps);
    await settle();
    controllers[0]?.abort('first');
    expect(session.flags[0]?.aborted).toBe(false);
    controllers[1]?.abort('second');
    expect(session.flags[0]?.aborted).toBe(true);
    expect(await outcomes).toEqual([
      { status: 'rejected', reason: 'first' },
      { status: 'rejected', reason: 'second' },
    ]);
    session.beforeResult = () => {};
    expect((await batcher.step(canvas(6))).committed).toHaveLength(2);
  });

  it('removes a waiting canvas from the queue', async () => {
    const controller = new AbortController();
    const waiting = batcher.step(canvas(4), controller.signal);
    const other = batcher.step(canvas(5));
    controller.abort();
    await expect(waiting).rejects.toBe(controller.signal.reason);
    await other;
    expect(lengthsOf(session)).toEqual([[5]]);
  });

  it('starts nothing with a signal that is aborted already', async () => {
    await expect(batcher.step(canvas(4), AbortSignal.abort('never'))).rejects.toBe('never');
    await settle();
    expect(session.batches).toEqual([]);
  });

  it('leaves no listener behind', async () => {
    const { signal } = new AbortController();
    const added = jest.spyOn(signal, 'addEventListener');
    const removed = jest.spyOn(signal, 'removeEventListener');
    await batcher.step(canvas(4), signal);
    expect(added).toHaveBeenCalledTimes(1);
    expect(removed.mock.calls[0]?.slice(0, 2)).toEqual(added.mock.calls[0]?.slice(0, 2));
  });
});

describe('failures', () => {
  it('of a step reach all its canvases as our errors, and the next step runs', async () => {
    session.beforeResult = () => {
      throw Object.assign(new Error('no memory for 9 rows'), { code: 'out_of_memory' });
    };
    const outcomes = await Promise.allSettled([batcher.step(canvas(4)), batcher.step(canvas(5))]);
    for (const outcome of outcomes) {
      const error = (outcome as PromiseRejectedResult).reason as RND1Error;
      expect(error).toBeInstanceOf(RND1Error);
      expect(error).toMatchObject({ code: 'out_of_memory', message: 'no memory for 9 rows' });
    }
    session.beforeResult = () => {};
    expect((await batcher.step(canvas(4))).committed).toHaveLength(2);
  });

  it('of one canvas are its own', async () => {
    session.alter = (result, { tokens }) => ({ ...result, notFinite: tokens.length === 5 });
    const results = await Promise.all([4, 5, 6].map((length) => batcher.step(canvas(length))));
    expect(results.map(({ notFinite }) => notFinite)).toEqual([false, true, false]);
  });
});

describe('disposing', () => {
  it('rejects running, waiting and later calls', async () => {
    batcher = new Batcher(session, () => new FakeFlag(), { maxRows: 4 });
    session.beforeResult = () => gate().closed;
    const pending = Promise.allSettled([batcher.step(canvas(4)), batcher.step(canvas(4))]);
    await settle();
    expect(session.batches).toHaveLength(1);
    batcher.dispose();
    for (const outcome of await pending) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'RND1Error', code: 'disposed' } });
    }
    expect(session.flags[0]?.aborted).toBe(true);
    await expect(batcher.step(canvas(4))).rejects.toMatchObject({ code: 'disposed' });
    await settle();
    expect(session.batches).toHaveLength(1);
  });
});

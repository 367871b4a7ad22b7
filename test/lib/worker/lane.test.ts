import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { setOwner } from '../../../lib/support/owners';
import { Lane, type LaneOptions, type LossReason, ThreadFailed, ThreadLost } from '../../../lib/worker/lane';

interface Ready {
  readonly greeting: string;
}
interface Request {
  readonly what: string;
  readonly value?: unknown;
}
interface Reply {
  readonly value: unknown;
  /** Number of requests that the thread has received. */
  readonly count: number;
}

const file = join(__dirname, 'thread.js');
const endless = { what: 'search', value: `${'a'.repeat(60)}!` };
const lanes: Lane<Ready, Request, Reply>[] = [];
let lost: LossReason[] = [];

function lane(options: Partial<LaneOptions> = {}): Lane<Ready, Request, Reply> {
  const onLost = (reason: LossReason) => void lost.push(reason);
  const made = new Lane<Ready, Request, Reply>({
    ...{ file, data: {}, startLimit: 60, limit: 60, heapMegabytes: 64, onLost },
    ...options,
  });
  lanes.push(made);
  return made;
}

beforeEach(() => {
  lost = [];
});
afterEach(() => {
  for (const each of lanes.splice(0)) each.close(new Error('over'));
});

const echo = (value: unknown) => ({ what: 'echo', value });

test('one thread answers requests in order', async () => {
  const one = lane();
  expect(one.pending).toBe(0);
  const replies = [1, 'two', [3]].map((value) => one.ask(echo(value)));
  expect(one.pending).toBe(3);
  expect(await Promise.all(replies)).toEqual([
    { value: 1, count: 1 },
    { value: 'two', count: 2 },
    { value: [3], count: 3 },
  ]);
  expect(await one.start()).toEqual({ greeting: 'hello' });
  expect(one.pending).toBe(0);
  expect(lost).toEqual([]);
});

test('owners take turns, and each gets answers in order', async () => {
  const one = lane();
  const [first, second] = [new AbortController(), new AbortController()];
  setOwner(first.signal, 'first');
  setOwner(second.signal, 'second');
  const order: unknown[] = [];
  const ask = (value: string, signal: AbortSignal) =>
    one.ask(echo(value), signal).then(() => order.push(value));
  const all = ['a1', 'a2', 'a3', 'a4'].map((value) => ask(value, first.signal));
  all.push(ask('b1', second.signal), ask('b2', second.signal));
  await Promise.all(all);
  // a1 has begun before the other requests are queued.
  expect(order).toEqual(['a1', 'a2', 'b1', 'a3', 'b2', 'a4']);
});

test('a request that takes too long ends the thread, and the next one gets another', async () => {
  const one = lane({ limit: 2 });
  await one.ask(echo(0));
  const [slow, next] = await Promise.allSettled([one.ask(endless), one.ask(echo(1))]);
  expect(slow).toEqual({ status: 'rejected', reason: expect.any(ThreadLost) });
  expect((slow as PromiseRejectedResult).reason).toMatchObject({ reason: 'time', starting: false });
  expect(next).toEqual({ status: 'fulfilled', value: { value: 1, count: 1 } });
  expect(lost).toEqual(['time']);
});

test('one that needs too much memory ends the thread, not the process', async () => {
  const one = lane();
  await expect(one.ask({ what: 'fill' })).rejects.toMatchObject({ reason: 'memory', starting: false });
  expect(await one.ask(echo(1))).toEqual({ value: 1, count: 1 });
  expect(lost).toEqual(['memory']);
});

test('a thread that exits by itself is reported as such', async () => {
  const one = lane();
  await expect(one.ask({ what: 'exit' })).rejects.toMatchObject({ reason: 'crash' });
  expect(await one.ask(echo(1))).toEqual({ value: 1, count: 1 });
  expect(lost).toEqual(['crash']);
});

test('preparing has a limit of its own, for every request', async () => {
  const one = lane({ data: { prepare: 'for ever' }, startLimit: 1 });
  const outcomes = await Promise.allSettled([one.start(), one.ask(echo(1))]);
  for (const outcome of outcomes) {
    expect((outcome as PromiseRejectedResult).reason).toMatchObject({ reason: 'time', starting: true });
  }
  expect(lost).toEqual(['time', 'time']);
});

test('an error of the thread arrives with its code, and the thread continues', async () => {
  const one = lane();
  const error = await one.ask({ what: 'throw', value: 'so' }).catch((reason) => reason);
  expect(error).toBeInstanceOf(ThreadFailed);
  expect(error.told).toEqual({ name: 'Coded', message: 'so', code: 'a_code', param: 'field' });
  const plain = await one.ask({ what: 'throw a string', value: 'bare' }).catch((reason) => reason);
  expect(plain.told).toEqual({ name: 'Error', message: 'bare' });
  expect(await one.ask(echo(1))).toEqual({ value: 1, count: 3 });
  await expect(lane({ data: { prepare: 'fail' } }).start()).rejects.toMatchObject({
    told: { code: 'a_code', message: 'not today' },
  });
  expect(lost).toEqual([]);
});

test('a signal removes a waiting request, and does not interrupt a running one', async () => {
  const one = lane({ limit: 2 });
  await one.start();
  const [running, waiting] = [new AbortController(), new AbortController()];
  const outcomes = [one.ask(endless, running.signal), one.ask(echo(1), waiting.signal), one.ask(echo(2))];
  waiting.abort(new Error('second'));
  await expect(outcomes[1]).rejects.toThrow('second');
  expect(one.pending).toBe(2);
  running.abort(new Error('first'));
  await expect(outcomes[0]).rejects.toThrow('first');
  expect(lost).toEqual([]);
  expect(await outcomes[2]).toEqual({ value: 2, count: 1 });
  expect(lost).toEqual(['time']);
  await expect(one.ask(echo(3), waiting.signal)).rejects.toThrow('second');
});

test('closing rejects pending and later requests', async () => {
  const one = lane();
  await one.start();
  const outcomes = Promise.allSettled([one.ask(endless), one.ask(echo(1))]);
  one.close(new Error('closed'));
  one.close(new Error('again'));
  for (const outcome of await outcomes) {
    expect((outcome as PromiseRejectedResult).reason.message).toBe('closed');
  }
  await expect(one.ask(echo(2))).rejects.toThrow('closed');
  await expect(one.start()).rejects.toThrow('closed');
  expect(one.pending).toBe(0);
  expect(lost).toEqual([]);
});

test('a request that cannot be sent does not block others', async () => {
  const one = lane();
  await expect(one.ask({ what: 'echo', value: () => {} })).rejects.toThrow(/could not be cloned/);
  expect(await one.ask(echo(1))).toEqual({ value: 1, count: 1 });
});

test('an idle thread ends after its idle limit', async () => {
  const one = lane({ idleLimit: 0.05 });
  const counts: number[] = [];
  for (let i = 0; i < 200 && counts.at(-1) !== 1; i++) {
    if (i > 0) await new Promise((resolve) => setTimeout(resolve, 100));
    if (i === 0) await one.ask(echo(0));
    counts.push((await one.ask(echo(i))).count);
  }
  expect(counts.at(-1)).toBe(1);
  expect(lost).toEqual([]);
});

test('threads inherit nothing from the process, print nothing, and do not keep it alive', async () => {
  const program = `
    const { Lane } = require(${JSON.stringify(join(__dirname, '../../../dist/worker/lane.js'))});
    const lane = new Lane({ file: ${JSON.stringify(file)}, data: {}, startLimit: 60, limit: 60, heapMegabytes: 64 });
    lane.ask({ what: 'print', value: 'from the thread' })
      .then(() => lane.ask({ what: 'environment' }))
      .then((reply) => console.log(JSON.stringify(reply)));`;
  const env = { ...process.env, HF_TOKEN: 'secret' };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--no-warnings', '-e', program], {
    env,
    timeout: 50_000,
  });
  expect(JSON.parse(stdout)).toEqual({ env: [], execArgv: [] });
  expect(stderr).toBe('');
});

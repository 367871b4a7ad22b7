import { Worker } from 'node:worker_threads';
import type { DiffusionLM, TokenOptions } from '../../lib';
import { printedBy, runChild, script, tinyMoe } from './children';
import { open } from './support';

const short: TokenOptions = { prefix: [1, 2, 3], maxNewTokens: 12, steps: 6, temperature: 1, seed: 5 };
const call = `model.generateTokens(${JSON.stringify(short)})`;

const openWorkers: Worker[] = [];
afterEach(async () => {
  await Promise.all(openWorkers.splice(0).map((worker) => worker.terminate()));
});

const workerScript = (body: string) =>
  script(`const post = (value) => require('worker_threads').parentPort.postMessage(value); ${body}`);

/** A worker thread that loads the built package; what it posts comes in order. */
function start(body: string): Worker {
  const worker = new Worker(workerScript(body), { eval: true });
  openWorkers.push(worker);
  return worker;
}

const message = (worker: Worker) =>
  new Promise<unknown>((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
const exit = (worker: Worker) => new Promise<number>((resolve) => worker.once('exit', resolve));

describe('worker threads', () => {
  let model: DiffusionLM;
  let expected: unknown;
  beforeAll(async () => {
    model = await open(tinyMoe);
    const { tokens } = await model.generateTokens(short);
    expected = [...tokens];
  });
  afterEach(async () => expect([...(await model.generateTokens(short)).tokens]).toEqual(expected));

  it('give what the main thread gives, all at once', async () => {
    const body = `const model = await DiffusionLM.load(tinyMoe, onCpu); post([...(await ${call}).tokens]);`;
    const workers = [
      start(body),
      start(`${body} await model.dispose();`),
      start(`${body} await model.dispose();`),
    ];
    const ended = workers.map(exit);
    const results = workers.map(message);
    expect([...(await model.generateTokens(short)).tokens]).toEqual(expected);
    for (const result of results) expect(await result).toEqual(expected);
    // Nothing holds a thread that has nothing left to do, disposed or not.
    expect(await Promise.all(ended)).toEqual([0, 0, 0]);
  });

  it.each<[string, string]>([
    [
      'a step',
      'const model = await DiffusionLM.load(tinyMoe, onCpu); post(0); await model.generateTokens(long);',
    ],
    [
      'a forward pass',
      `const model = await DiffusionLM.load(tinyMoe, onCpu);
      const pending = model.forward(new Int32Array(4000), { hidden: true, routing: true }); post(0); await pending;`,
    ],
    ['a loading', 'post(0); for (;;) await DiffusionLM.load(tinyMoe, { ...onCpu, onProgress() {} });'],
    [
      'many steps',
      `const model = await DiffusionLM.load(tinyMoe, onCpu);
      const forever = async () => { for (;;) await ${call}; };
      forever(); forever(); post(0); await forever();`,
    ],
    [
      'an unmasking',
      `const logits = new Float32Array(2000 * 2000);
      const masked = Array.from({ length: 2000 }, (_, i) => i);
      const { scoreAndUnmask } = require(${JSON.stringify(`${__dirname}/../..`)});
      post(0); for (;;) await scoreAndUnmask(logits, { tokens: masked, masked });`,
    ],
    [
      'an abort',
      `const model = await DiffusionLM.load(tinyMoe, onCpu);
      const controller = new AbortController();
      const pending = model.generateTokens({ ...long, signal: controller.signal }).catch(() => {});
      setImmediate(() => setImmediate(() => { post(0); controller.abort(); })); await pending; for (;;) await ${call};`,
    ],
    [
      'a disposal',
      `const model = await DiffusionLM.load(tinyMoe, onCpu);
      const pending = model.generateTokens(long).catch(() => {});
      setImmediate(() => setImmediate(() => { post(0); model.dispose(); })); await pending;`,
    ],
  ])('may be terminated in the middle of %s', async (_, body) => {
    // In a child, since what goes wrong here takes the whole process along.
    const printed = await printedBy(`
      const { Worker } = require('worker_threads');
      const model = await DiffusionLM.load(tinyMoe, onCpu);
      const expected = String((await ${call}).tokens);
      let same = 0;
      for (let round = 0; round < 5; round++) {
        const worker = new Worker(${JSON.stringify(workerScript(body))}, { eval: true });
        const running = ${call};
        await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        await worker.terminate();
        for (const { tokens } of [await running, await ${call}]) if (String(tokens) === expected) same++;
      }
      console.log(same);`);
    expect(printed).toBe(10);
  });

  it('may end by themselves with work pending', async () => {
    const body =
      'const model = await DiffusionLM.load(tinyMoe, onCpu); model.generateTokens(long); model.forward([1]);';
    expect(await exit(start(`${body} await new Promise(setImmediate); process.exit(5);`))).toBe(5);
    const worker = start(`${body} await new Promise(setImmediate); throw new Error('uncaught');`);
    const error = new Promise<Error>((resolve) => worker.once('error', resolve));
    expect((await error).message).toBe('uncaught');
  });
});

describe('a process', () => {
  const pending = `
    const model = await DiffusionLM.load(tinyMoe, onCpu);
    const print = (name) => () => process.stdout.write(name + ' ');
    model.generateTokens(long).then(print('tokens'), print('no'));
    model.forward([1, 2]).then(print('logits'), print('no'));
    await new Promise(setImmediate);
    await new Promise(setImmediate);`;

  it('ends by itself after what is pending', async () => {
    const { code, signal, stdout, stderr } = await runChild(pending);
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    expect(stdout.split(' ').sort()).toEqual(['', 'logits', 'tokens']);
  });

  it('ends although a model was never used or disposed', async () => {
    expect(await runChild('await DiffusionLM.load(tinyMoe, onCpu);')).toMatchObject({
      code: 0,
      signal: null,
      stderr: '',
    });
  });

  it.each<[string, string, number, string]>([
    ['process.exit', 'process.exit(3);', 3, ''],
    ['process.exit in an exit handler', "process.on('exit', () => process.exit(4)); process.exit(3);", 4, ''],
    ['an uncaught exception', "setImmediate(() => { throw new Error('uncaught'); });", 1, 'uncaught'],
    ['an unhandled rejection', "Promise.reject(new Error('unhandled'));", 1, 'unhandled'],
    ['dispose and process.exit', 'model.dispose(); process.exit(3);', 3, ''],
    ['a loading and process.exit', 'DiffusionLM.load(tinyMoe, onCpu); process.exit(3);', 3, ''],
  ])('ends with the right code at %s with work pending', async (_, end, status, said) => {
    const { code, signal, stderr } = await runChild(`${pending} ${end}`);
    expect({ code, signal }).toEqual({ code: status, signal: null });
    if (said === '') expect(stderr).toBe('');
    else expect(stderr).toContain(said);
  });

  it('goes on after an exception that it catches', async () => {
    const printed = await printedBy(`
      const model = await DiffusionLM.load(tinyMoe, onCpu);
      const expected = [...(await ${call}).tokens];
      const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
      const running = model.generateTokens(long);
      setImmediate(() => { throw new Error('caught'); });
      const { message } = await caught;
      const { tokens } = await running;
      const again = [...(await ${call}).tokens];
      console.log(JSON.stringify([message, tokens.length, String(again) === String(expected)]));`);
    expect(printed).toEqual(['caught', 4002, true]);
  });
});

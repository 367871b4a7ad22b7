import { type Ended, runChild } from './children';
import { root } from './support';

/** In a process of its own, which a truncated file must not end. */
const cut = (body: string): Promise<Ended> =>
  runChild(`
    const fs = require('fs'), os = require('os'), path = require('path');
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rnd1-cut-'));
    fs.cpSync(${JSON.stringify(root)} + '/models/nano', folder, { recursive: true });
    const file = path.join(folder, 'model.safetensors');
    const size = fs.statSync(file).size;
    const short = { prefix: [1], maxNewTokens: 4, steps: 1 };
    const outcome = (promise) => promise.then(({ tokens }) => ({ value: { tokens } }), ({ name, code, message }) => ({ name, code, message }));
    try { ${body} } finally { fs.rmSync(folder, { recursive: true }); }`);

/** What it printed, as JSON. */
async function printed(body: string): Promise<unknown> {
  const { code, signal, stdout, stderr } = await cut(body);
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  return JSON.parse(stdout);
}

const lost = {
  name: 'RND1Error',
  code: 'io',
  message: expect.stringMatching(
    /model\.safetensors was cut from \d+ to \d+ bytes while its weights were in use/,
  ),
};

(process.platform === 'linux' ? describe : describe.skip)('a file that is cut while it is mapped', () => {
  it.each([1000, 300_000, -1])('fails steps by name, at %d', async (length) => {
    const [first, cutNow, again, other, forward] = (await printed(`
      const model = await DiffusionLM.load(folder, { ...onCpu, mmap: true });
      const first = await outcome(model.generateTokens(short));
      fs.truncateSync(file, ${length} < 0 ? size + ${length} : ${length});
      const cutNow = await outcome(model.generateTokens(short));
      // Grown to its old size it is not what it was.
      fs.truncateSync(file, size);
      const again = ${length} === 1000 ? await outcome(model.generateTokens(short)) : cutNow;
      fs.truncateSync(file, 1000);
      const other = await DiffusionLM.load(tinyMoe, { ...onCpu, mmap: true });
      const logits = (await other.forward([1])).logits.length;
      const forward = await outcome(model.forward([1]));
      await other.dispose();
      await model.dispose();
      console.log(JSON.stringify([first, cutNow, again, logits, forward]));`)) as unknown[];
    expect(first).toHaveProperty('value.tokens');
    expect(cutNow).toMatchObject(lost);
    if (length === 1000) expect(again).toMatchObject({ ...lost, message: expect.stringContaining('in use') });
    expect(other).toBe(512);
    expect(forward).toMatchObject(lost);
  });

  it('means nothing to a model that is copied, or whose file was replaced', async () => {
    const tokens = (await printed(`
      const copied = await DiffusionLM.load(folder, { ...onCpu, mmap: false });
      const mapped = await DiffusionLM.load(folder, { ...onCpu, mmap: true });
      fs.renameSync(file, file + '.old');
      fs.writeFileSync(file, 'x');
      const results = [await mapped.generateTokens(short)];
      fs.truncateSync(file + '.old', 0);
      results.push(await copied.generateTokens(short));
      console.log(JSON.stringify(results.map(({ tokens }) => Object.values(tokens))));`)) as number[][];
    expect(tokens[0]).toEqual(tokens[1]);
  });

  it('leaves a SIGBUS that has nothing to do with it what it was', async () => {
    const { signal } = await cut(`
      const model = await DiffusionLM.load(folder, { ...onCpu, mmap: true });
      process.kill(process.pid, 'SIGBUS');
      await new Promise((resolve) => setTimeout(resolve, 5000));`);
    expect(signal).toBe('SIGBUS');
  });
});

describe('a file that is cut while it is loaded', () => {
  it.each(['q8', 'q5', 'q4', 'bf16'])('is an error, in %s', async (dtype) => {
    const outcomes = (await printed(`
      const native = loadBinding();
      const { Session } = native;
      const outcomes = [];
      for (const mmap of [false, true]) for (const length of [20_000, size - 1]) {
        fs.cpSync(${JSON.stringify(root)} + '/models/nano', folder, { recursive: true });
        // When its headers were read.
        native.Session = { load: (...given) => { fs.truncateSync(file, length); return Session.load(...given); } };
        outcomes.push(await outcome(DiffusionLM.load(folder, { device: 'cpu', threads: 2, mmap, dtype: '${dtype}' })));
      }
      console.log(JSON.stringify(outcomes));`)) as unknown[];
    expect(outcomes).toHaveLength(4);
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({
        code: expect.stringMatching(/^(io|invalid_checkpoint)$/),
        message: expect.stringContaining('model.safetensors'),
      });
  });
});

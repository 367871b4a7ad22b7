import { appendFileSync, existsSync, truncateSync, writeFileSync } from 'node:fs';
import { withAttempts } from '../../../lib/batch/attempts';
import type { Answer, Outcome } from '../../../lib/batch/outcome';
import type { BatchRequest } from '../../../lib/batch/request';
import { Batch, type RunOptions } from '../../../lib/batch/run';
import { batchFolder, echo, lineOf, manyLines, outputOf, textOf } from './files';

const { path, write } = batchFolder();
const never = new AbortController().signal;

async function run(input: string, output: string, options: Partial<RunOptions> & { ordered?: boolean } = {}) {
  const { ordered = true, signal = never, ...rest } = options;
  const batch = await Batch.open({ input, output, ordered }, signal);
  try {
    return await batch.run({ answer: echo, canvases: 4, signal, ...rest });
  } finally {
    await batch.close();
  }
}

const namesOf = (output: string) => outputOf(output).map(({ custom_id }) => custom_id as string);
const names = (count: number) => Array.from({ length: count }, (_, i) => String(i));

test('every line is answered once, in the order of the input or as they come', async () => {
  const input = write(manyLines(300));
  const [ordered, unordered] = [path(), path()];
  expect(await run(input, ordered)).toEqual({ total: 300, done: 300, failed: 0, resumed: 0, tokens: 600 });
  expect(namesOf(ordered)).toEqual(names(300));
  expect(outputOf(ordered)[7]).toEqual({
    id: expect.stringMatching(/^batch_req_[0-9a-f]{24}$/),
    custom_id: '7',
    response: {
      status_code: 200,
      request_id: expect.stringMatching(/^[0-9a-f]{24}$/),
      body: { echo: '7', usage: { completion_tokens: 2 } },
    },
    error: null,
  });
  await run(input, unordered, { ordered: false });
  expect(namesOf(unordered)).not.toEqual(names(300));
  const sorted = (file: string) => textOf(file).split('\n').sort();
  expect(sorted(unordered)).toEqual(sorted(ordered));
});

test('as many canvases run as are allowed, and no line waits for more', async () => {
  let [canvases, most, lines] = [0, 0, 0];
  const answer: Answer = async (request, signal) => {
    const own = Math.min(4, (request.body.n as number | undefined) ?? 1);
    canvases += own;
    lines++;
    most = Math.max(most, canvases);
    const outcome = await echo(request, signal);
    canvases -= own;
    return outcome;
  };
  const bodies = names(60).map((name, i) => lineOf(name, { prompt: 'a', n: 1 + (i % 9) }));
  await run(write(bodies), path(), { answer });
  expect({ most, lines }).toEqual({ most: 4, lines: 60 });
});

test('few lines are read ahead while an early one takes long', async () => {
  let release = () => {};
  const slow = new Promise<void>((resolve) => {
    release = resolve;
  });
  let answered = 0;
  const answer: Answer = async (request, signal) => {
    if (request.customId === '0') await slow;
    answered++;
    return echo(request, signal);
  };
  const output = path();
  const running = run(write(manyLines(1000)), output, { answer });
  for (let last = -1; last !== answered; ) {
    last = answered;
    for (let turns = 0; turns < 200; turns++) await new Promise(setImmediate);
  }
  expect(answered).toBeLessThan(100);
  release();
  await running;
  expect(namesOf(output)).toEqual(names(1000));
});

describe('an output that was cut off', () => {
  test.each([true, false])('anywhere is completed, ordered: %s', async (ordered) => {
    const input = write(manyLines(20));
    const whole = path();
    await run(input, whole, { ordered });
    const text = textOf(whole);
    const sorted = (file: string) => textOf(file).split('\n').sort();
    for (let length = 0; length <= text.length; length += 97) {
      const output = path();
      writeFileSync(output, text.slice(0, length));
      const before = text.slice(0, length).split('\n').length - 1;
      expect(await run(input, output, { ordered })).toMatchObject({ done: 20, resumed: before });
      if (ordered) expect(textOf(output)).toBe(text);
      else expect(sorted(output)).toEqual(sorted(whole));
    }
  });

  test('is cut back to its last line break, even if a whole line follows', async () => {
    const input = write(manyLines(3));
    const output = path();
    await run(input, output);
    const text = textOf(output);
    truncateSync(output, text.length - 1);
    expect(await run(input, output)).toMatchObject({ resumed: 2 });
    expect(textOf(output)).toBe(text);
    // After a power cut, the end of a file may be zeros.
    appendFileSync(output, Buffer.alloc(100));
    expect(await run(input, output)).toMatchObject({ resumed: 3 });
    expect(textOf(output)).toBe(text);
  });

  test('counts its errors', async () => {
    const input = write(manyLines(10));
    const output = path();
    const answer: Answer = async (request, signal) =>
      Number(request.customId) % 2 === 0
        ? { error: { code: 'odd', message: 'is even' } }
        : echo(request, signal);
    expect(await run(input, output, { answer })).toMatchObject({ failed: 5, tokens: 10 });
    expect(await run(input, output, { answer })).toMatchObject({ failed: 5, resumed: 10, tokens: 0 });
    expect(outputOf(output)[0]).toMatchObject({ response: null, error: { code: 'odd', message: 'is even' } });
  });
});

test('an output that is not of this input is refused and left alone', async () => {
  const input = write(manyLines(5));
  const output = path();
  await run(input, output, { ordered: false });
  const refusal = async (file: string, text: string, problem: string, ordered = false) => {
    writeFileSync(file, text);
    await expect(run(input, file, { ordered })).rejects.toThrow(problem);
    expect(textOf(file)).toBe(text);
    expect(existsSync(`${file}.lock`)).toBe(false);
  };
  const lines = textOf(output).split('\n');
  const order = (ids: readonly string[]) =>
    ids.map((id) => `${lines.find((line) => line.includes(`"custom_id":"${id}"`))}\n`).join('');
  await refusal(path(), '{"a": 1}\n', 'line 1: not a line that a batch has written');
  await refusal(path(), textOf(input), 'line 1: not a line that a batch has written');
  await refusal(path(), order(['1', '1']), 'line 2: its custom_id was there before');
  await refusal(path(), order(['1']), 'line 1: the lines are not in the order of the input', true);
  const strange = order(['3']).replace('"custom_id":"3"', '"custom_id":"x"');
  await refusal(path(), strange, 'line 1: its custom_id is not in the input');
  const edited = write([...manyLines(4), lineOf('4', { prompt: 'edited' })]);
  await expect(run(edited, output, { ordered: false })).rejects.toThrow(
    /line \d: line 5 of the input has changed since it was answered/,
  );
});

test('an output has one writer at a time', async () => {
  const input = write(manyLines(5));
  const output = path();
  const first = await Batch.open({ input, output, ordered: true }, never);
  await expect(Batch.open({ input, output, ordered: true }, never)).rejects.toThrow(
    `${output} is being written by process ${process.pid}`,
  );
  await first.close();
  // Left by a process that was killed, and had this one's id before.
  const { hostId } =
    require('../../../lib/support/processes') as typeof import('../../../lib/support/processes');
  for (const pid of [process.pid, 2 ** 22 + 1]) {
    writeFileSync(`${output}.lock`, `${hostId} ${pid} 0123\n`);
    expect(await run(input, output)).toMatchObject({ done: 5 });
  }
  writeFileSync(`${output}.lock`, `another ${process.pid} 0123\n`);
  await expect(run(input, output)).rejects.toThrow('of another machine');
});

describe('a batch stops', () => {
  const stopAt = (count: number, stop: () => void): Answer => {
    let answered = 0;
    return async (request, signal) => {
      if (++answered === count) stop();
      return echo(request, signal);
    };
  };

  test('when it is aborted, and goes on later', async () => {
    const input = write(manyLines(50));
    const [whole, output] = [path(), path()];
    await run(input, whole);
    const controller = new AbortController();
    const reason = new Error('enough');
    const answer = stopAt(30, () => controller.abort(reason));
    await expect(run(input, output, { answer, signal: controller.signal })).rejects.toBe(reason);
    const before = outputOf(output).length;
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(30);
    expect(await run(input, output)).toMatchObject({ resumed: before });
    expect(textOf(output)).toBe(textOf(whole));
  });

  test('when an answer fails in a way that is no outcome', async () => {
    const failed = new Error('no model');
    const answer = stopAt(10, () => {
      throw failed;
    });
    await expect(run(write(manyLines(50)), path(), { answer })).rejects.toBe(failed);
  });

  test('when the input changes', async () => {
    for (const edit of [manyLines(49), [...manyLines(49), lineOf('x')], manyLines(51)]) {
      const input = write(manyLines(50));
      const batch = await Batch.open({ input, output: path(), ordered: true }, never);
      writeFileSync(input, edit.map((line) => `${JSON.stringify(line)}\n`).join(''));
      await expect(batch.run({ answer: echo, canvases: 4, signal: never })).rejects.toThrow(
        'the file changed while it was read',
      );
      await batch.close();
    }
  });
});

describe('attempts', () => {
  const request = { customId: 'a' } as BatchRequest;
  const statuses = async (given: readonly number[], attempts: number) => {
    const left = [...given];
    const answer: Answer = async () => ({
      response: { status: left.shift() as number, requestId: '', body: {} },
    });
    const outcome = (await withAttempts(answer, { attempts, pause: 0 })(request, never)) as Extract<
      Outcome,
      { response: unknown }
    >;
    return [outcome.response.status, given.length - left.length];
  };

  test('are made again after failures of the server, a bounded number of times', async () => {
    expect(await statuses([200], 3)).toEqual([200, 1]);
    expect(await statuses([400, 200], 3)).toEqual([400, 1]);
    expect(await statuses([503, 500, 200], 3)).toEqual([200, 3]);
    expect(await statuses([503, 500, 504, 200], 3)).toEqual([504, 3]);
    expect(await statuses([429, 429, 429, 429, 500, 429, 200], 2)).toEqual([200, 7]);
  });

  test('end with the batch', async () => {
    const controller = new AbortController();
    const answer: Answer = async () => {
      setImmediate(() => controller.abort(new Error('enough')));
      return { response: { status: 429, requestId: '', body: {} } };
    };
    const repeated = withAttempts(answer, { attempts: 1, pause: 1e9 });
    await expect(repeated(request, controller.signal)).rejects.toThrow('enough');
  });
});

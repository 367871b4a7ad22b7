import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { indexInput, readRequests } from '../../../lib/batch/input';
import { longestLine, readLines } from '../../../lib/batch/json-lines';
import { canvasesOf, seedOf } from '../../../lib/batch/request';
import { batchFolder, lineOf, manyLines } from './files';

const { path, write } = batchFolder();

const requestsOf = async (file: string) => {
  const requests = [];
  for await (const request of readRequests(file)) requests.push(request);
  return requests;
};
const failure = (file: string, rules = {}) =>
  indexInput(file, rules).then(
    () => null,
    (error) => error,
  );

describe('lines', () => {
  const linesOf = async (file: string) => {
    const lines = [];
    for await (const { bytes, ...rest } of readLines(file)) lines.push({ ...rest, text: bytes.toString() });
    return lines;
  };

  test('end with a line break, or are the start of one', async () => {
    const file = path();
    writeFileSync(file, 'ä\n\nb\r\nc');
    expect(await linesOf(file)).toEqual([
      { number: 1, text: 'ä', end: 3, complete: true },
      { number: 2, text: '', end: 4, complete: true },
      { number: 3, text: 'b\r', end: 7, complete: true },
      { number: 4, text: 'c', end: 8, complete: false },
    ]);
    writeFileSync(file, '');
    expect(await linesOf(file)).toEqual([]);
  });

  test('are longer than the pieces that are read, up to a limit', async () => {
    const file = path();
    const long = 'a'.repeat(600_000);
    writeFileSync(file, `${long}\nb\n${long}\n`);
    expect((await linesOf(file)).map(({ text }) => text)).toEqual([long, 'b', long]);
    writeFileSync(file, `a\n${'b'.repeat(longestLine + 1)}\n`);
    await expect(linesOf(file)).rejects.toThrow(`${file}, line 2: the line has more than 16.8 MB`);
  });
});

describe('an input', () => {
  test('is indexed by custom_id, whatever its size', async () => {
    const index = await indexInput(write(manyLines(5000)));
    expect(index.size).toBe(5000);
    const key = (id: string) => createHash('sha256').update(JSON.stringify(id)).digest();
    for (const ordinal of [0, 1, 999, 1024, 1025, 4999]) {
      expect(index.find(key(String(ordinal)))).toBe(ordinal);
      expect(index.lineOf(ordinal)).toBe(ordinal + 1);
      expect(index.isDone(ordinal)).toBe(false);
      index.markDone(ordinal);
      index.markDone(ordinal);
      expect(index.isDone(ordinal)).toBe(true);
    }
    expect(index.doneCount).toBe(6);
    expect(index.find(key('5000'))).toBe(null);
  });

  test('may begin with a mark, have blank lines and no last line break', async () => {
    const file = path();
    writeFileSync(file, `\ufeff${JSON.stringify(lineOf('a'))}\r\n \t\r\n\n${JSON.stringify(lineOf('b'))}`);
    const requests = await requestsOf(file);
    expect(requests.map(({ line, customId }) => [line, customId])).toEqual([
      [1, 'a'],
      [4, 'b'],
    ]);
  });

  test('gives the same line the same id, and the same custom_id the same seed', async () => {
    const [a, b, c] = await requestsOf(write([lineOf('a'), lineOf('a', { prompt: 'other' }), lineOf('b')]));
    const [again] = await requestsOf(write([lineOf('a')]));
    expect(again).toEqual(a);
    expect(a?.id).toMatch(/^[0-9a-f]{24}$/);
    expect(b?.id).not.toBe(a?.id);
    const seeds = [a, b, c].map((request) => seedOf(request as { key: Buffer }));
    expect(seeds[0]).toBe(seeds[1]);
    expect(seeds[0]).not.toBe(seeds[2]);
    // Written down once: they are part of the format.
    expect(seeds[0]).toBe(Number.parseInt(createHash('sha256').update('"a"').digest('hex').slice(0, 12), 16));
  });

  test.each([
    ['{', 'invalid_json_line', 'the line is not a JSON object in UTF-8'],
    ['[]', 'invalid_json_line', 'the line is not a JSON object in UTF-8'],
    [{ ...lineOf('b'), custom_id: undefined }, 'missing_required_parameter', 'custom_id is missing'],
    [
      { customId: 'b', method: 'POST', url: '/v1/fill', body: {} },
      'missing_required_parameter',
      "custom_id is missing; 'customId' is not a field",
    ],
    [
      { ...lineOf('b'), custom_id: 7 },
      'invalid_custom_id',
      'custom_id must be a string that is not empty, not 7',
    ],
    [lineOf(''), 'invalid_custom_id', "custom_id must be a string that is not empty, not ''"],
    [lineOf('a'), 'duplicate_custom_id', 'custom_id is that of line 1'],
    [{ ...lineOf('b'), method: 'GET' }, 'invalid_method', "method must be 'POST', not 'GET'"],
    [
      lineOf('b', {}, '/v1/embeddings'),
      'invalid_url',
      "url must be one of '/v1/chat/completions', '/v1/completions', '/v1/infill', '/v1/fill', not '/v1/embeddings'",
    ],
    [{ ...lineOf('b'), body: [1] }, 'invalid_body', 'body must be an object, not [ 1 ]'],
  ])('with the line %j is refused', async (line, code, problem) => {
    const file = write([lineOf('a'), line]);
    expect(await failure(file)).toMatchObject({
      code,
      problem,
      line: 2,
      message: `${file}, line 2: ${problem}`,
    });
  });

  test('that is not UTF-8, empty, too long or no file is refused', async () => {
    const file = path();
    writeFileSync(
      file,
      Buffer.concat([Buffer.from('{"custom_id": "'), Buffer.from([0xff]), Buffer.from('"}\n')]),
    );
    expect(await failure(file)).toMatchObject({ code: 'invalid_json_line', line: 1 });
    expect(await failure(write(['', ' ']))).toMatchObject({ code: 'empty_file', line: null });
    expect(await failure(write(manyLines(3)), { maxLines: 2 })).toMatchObject({
      code: 'too_many_lines',
      line: 3,
    });
    expect(await failure(write(manyLines(2)), { maxLines: 2 })).toBe(null);
    expect(await failure(write([lineOf('a')]), { url: '/v1/fill' })).toMatchObject({
      code: 'mismatched_url',
      problem: "url must be the batch's endpoint, '/v1/fill', not '/v1/completions'",
    });
    const folder = path();
    mkdirSync(folder);
    expect(await failure(folder)).toMatchObject({ code: 'io', message: `${folder} is not a regular file` });
    expect(await failure(path('absent'))).toMatchObject({ code: 'io' });
  });
});

test('a line asks for as many canvases as it has answers and prompts', () => {
  const count = (body: object) => canvasesOf({ body: body as Record<string, unknown> });
  expect(count({ prompt: 'a' })).toBe(1);
  expect(count({ prompt: ['a', 'b'], n: 3 })).toBe(6);
  expect(count({ prompt: [1, 2, 3] })).toBe(1);
  expect(count({ prompt: [[1], [2, 3]] })).toBe(2);
  expect(count({ prompt: [], n: 'x' })).toBe(1);
});

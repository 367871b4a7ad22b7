import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { readConfig } from '../../../lib/checkpoint/config';
import { limitsOf, pythonJson, readJsonObject, readText } from '../../../lib/checkpoint/files';
import { Fields } from '../../../lib/support/fields';
import { failure, temporaryFolder } from './files';
import { TINY } from './tiny-config';

const readAs = (name: string, text: string, warn?: (message: string) => void) =>
  readJsonObject(join(temporaryFolder({ [name]: text }), name), warn);
const read = (text: string) => readAs('config.json', text);
const refusal = (text: string, name = 'config.json') =>
  failure(() => readAs(name, text), 'invalid_checkpoint');
const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

describe('JSON as Python writes it', () => {
  test('may hold NaN and infinity, and integers that a double rounds', async () => {
    await expect(
      read('{"a": NaN, "b": [Infinity, -Infinity], "c": 1000000000000000019884624838656}'),
    ).resolves.toEqual({ a: Number.NaN, b: [Infinity, -Infinity], c: 1e30 });
  });

  test('is written the same way', () => {
    const value = { a: Number.NaN, b: [Infinity, -Infinity, 'NaN'], c: { d: 1 } };
    expect(pythonJson(value).replace(/\s/g, '')).toBe('{"a":NaN,"b":[Infinity,-Infinity,"NaN"],"c":{"d":1}}');
  });

  test.each(['NaN', 'Infinity'])('%s is refused by name where a number is needed', async (word) => {
    const text = JSON.stringify({ ...TINY, rms_norm_eps: 'X' }).replace('"X"', word);
    const folder = temporaryFolder({ 'config.json': text });
    expect(await failure(() => readConfig(folder), 'invalid_checkpoint')).toBe(
      `${join(folder, 'config.json')}: rms_norm_eps must be a number above 0, not ${word}`,
    );
  });

  test('has all kinds of values, line ends and a byte order mark', async () => {
    await expect(
      read('\uFEFF\r\n{"a"\t: [true, false, null, -1.5e3, "\\u00e9\\n"], "b": {}, "c": []}\r\n'),
    ).resolves.toEqual({ a: [true, false, null, -1500, 'é\n'], b: {}, c: [] });
  });

  test('keeps __proto__ an ordinary key', async () => {
    const value = (await read('{"__proto__": {"polluted": 1}}')) as { polluted?: unknown };
    expect(value.polluted).toBeUndefined();
    expect(Object.keys(value)).toEqual(['__proto__']);
  });

  test.each([
    ['{"a": 1,}', 'expected a string'],
    ['{"a": -NaN}', 'expected a value'],
    ['{"a": 01}', "expected '}'"],
    ["{'a': 1}", 'expected a string'],
    ['{"a": 1} {', 'expected the end'],
    ['{"a": undefined}', 'expected a value'],
  ])('%s is not it', async (text, problem) => {
    const message = await refusal(text);
    expect(message).toContain('config.json is not valid JSON');
    expect(message).toContain(problem);
  });
});

describe('JSON is bounded', () => {
  test.each(['config.json', 'generation_config.json', 'tokenizer_config.json', 'tokenizer.json'])(
    'in the bytes of %s',
    async (name) => {
      const path = join(temporaryFolder({ [name]: '{}' }), name);
      // A sparse file: only its size matters.
      truncateSync(path, limitsOf(path).bytes + 1);
      expect(await failure(() => readText(path), 'invalid_checkpoint')).toMatch(/; the limit is [\d.]+ MB$/);
    },
  );

  test('in depth, also under keys that nobody reads', async () => {
    await expect(read(`{"a": ${deep(32)}}`)).resolves.toBeDefined();
    expect(await refusal(`{"a": ${deep(33)}}`)).toContain('nested deeper than 32');
    expect(await refusal(`{"a": ${deep(100_000)}}`)).toContain('nested deeper than 32');
    expect(await refusal(`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`)).toContain('nested deeper');
  });

  test('in the number of values', async () => {
    const { values } = limitsOf('config.json');
    const list = (length: number) => `{"a": [${'0,'.repeat(length - 1)}0]}`;
    await expect(read(list(values - 2))).resolves.toBeDefined();
    expect(await refusal(list(values - 1))).toContain(`more than ${values} values`);
  });
});

test.each(['config.json', 'tokenizer.json', 'chat_template.jinja'])(
  'a Git LFS pointer in place of %s is called that',
  async (name) => {
    const text = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n';
    const path = join(temporaryFolder({ [name]: text }), name);
    expect(await failure(() => readText(path), 'invalid_checkpoint')).toBe(
      `${path} is a Git LFS pointer, not the file itself: fetch that with \`git lfs pull\``,
    );
    const other = join(temporaryFolder({ [name]: 'version 2' }), name);
    expect(await readText(other)).toBe('version 2');
  },
);

describe('a key that stands twice', () => {
  test('is warned of where both say the same', async () => {
    const warnings: string[] = [];
    await readAs('config.json', '{"a": {"b": [1], "c": NaN, "c": NaN}, "a": {"b": [1], "c": NaN}}', (text) =>
      warnings.push(text),
    );
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toMatch(/config\.json: the key "c" occurs twice, with the same value$/);
    expect(warnings[1]).toMatch(/the key "a" occurs twice/);
  });

  test.each([
    ['config.json', '{"a": 1, "a": 2}', 'a'],
    ['tokenizer.json', '{"model": {"vocab": {"x": 1, "x": 2}}}', 'x'],
    ['generation_config.json', '{"__proto__": 1, "__proto__": 2}', '__proto__'],
  ])('with two values is refused in %s', async (name, text, key) => {
    expect(await refusal(text, name)).toContain(`the key "${key}" occurs twice, with different values,`);
  });
});

test('what is quoted from a file stays short', () => {
  const fields = new Fields('config.json', { a: 'x'.repeat(1000) });
  expect(fields.invalid('a', 'a number').message.length).toBeLessThan(200);
});

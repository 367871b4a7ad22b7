import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  decodeText,
  integer,
  number,
  parseTokens,
  readText,
  readTokenText,
  seed,
  UsageError,
} from '../../../lib/cli/input';

const stream = (...chunks: (string | Buffer)[]) => Readable.from(chunks) as unknown as NodeJS.ReadStream;

describe('what is read from the command line', () => {
  test.each([
    ['1,2,3', [1, 2, 3]],
    [' 1 2\n3 ', [1, 2, 3]],
    ['[1, 2, 3]', [1, 2, 3]],
    ['', []],
    ['0', [0]],
  ])('token ids %j', (text, ids) => {
    expect(parseTokens(text, false)).toEqual(ids);
  });

  test('holes are underscores, where they are allowed', () => {
    expect(parseTokens('1,_,3,_', true)).toEqual([1, null, 3, null]);
    expect(() => parseTokens('1,_', false)).toThrow("'_' is not a token id");
  });

  test.each(['1,x', '1.5', '-1', '4294967296', '1;2'])('refuses token ids %j', (text) => {
    expect(() => parseTokens(text, false)).toThrow(UsageError);
  });

  test('a prompt is the argument, or standard input without its last newline', async () => {
    await expect(readText('hello', 'prompt', stream('no'))).resolves.toBe('hello');
    await expect(readText('-', 'prompt', stream('a\n', 'b\n'))).resolves.toBe('a\nb');
    await expect(readText(undefined, 'prompt', stream('a\n\n'))).resolves.toBe('a\n');
  });

  test('nothing on standard input is no prompt', async () => {
    await expect(readText(undefined, 'prompt', stream())).rejects.toThrow(UsageError);
    await expect(readText('-', 'prompt', stream())).resolves.toBe('');
  });

  test('a character that two chunks share arrives whole', async () => {
    const bytes = Buffer.from('漢');
    const input = Readable.from([bytes.subarray(0, 1), bytes.subarray(1)]);
    const asStream = Object.assign(new Readable({ read() {} }), {}) as unknown as NodeJS.ReadStream;
    for await (const chunk of input) (asStream as unknown as Readable).push(chunk);
    (asStream as unknown as Readable).push(null);
    await expect(readText('-', 'prompt', asStream)).resolves.toBe('漢');
  });

  test('no prompt at a terminal is wrong usage', async () => {
    const terminal = Object.assign(stream('x'), { isTTY: true }) as NodeJS.ReadStream;
    await expect(readText(undefined, 'prompt', terminal)).rejects.toThrow(UsageError);
  });

  test('numbers are checked against their range', () => {
    expect(integer(1)('7')).toBe(7);
    for (const wrong of ['0', '1.5', '', 'x', '1e3', '99999999999999999999']) {
      expect(() => integer(1)(wrong)).toThrow('Expected an integer of at least 1');
    }
    expect(number(0, 1)('0.5')).toBe(0.5);
    for (const wrong of ['1.1', '-0.1', '', 'NaN', 'Infinity']) {
      expect(() => number(0, 1)(wrong)).toThrow('Expected a number from 0 to 1');
    }
    expect(seed('18446744073709551615')).toBe(2n ** 64n - 1n);
    expect(seed('-5')).toBe(-5n);
    expect(() => seed('18446744073709551616')).toThrow('64 bits');
    expect(() => seed('1.5')).toThrow('Expected an integer');
  });
});

describe('text from outside', () => {
  const utf16be = (text: string) => Buffer.from(text, 'utf16le').swap16();
  const text = 'Größe 漢 😀\r\n';

  test.each([
    ['UTF-8', Buffer.from(text)],
    ['UTF-8 with a mark', Buffer.from(`\uFEFF${text}`)],
    ['UTF-16, low byte first', Buffer.from(`\uFEFF${text}`, 'utf16le')],
    ['UTF-16, high byte first', utf16be(`\uFEFF${text}`)],
  ])('%s is read', async (_, bytes) => {
    expect(decodeText(bytes, 'x')).toBe(text);
    await expect(readText('-', 'prompt', stream(bytes.subarray(0, 3), bytes.subarray(3)))).resolves.toBe(
      text.trimEnd(),
    );
  });

  test('one mark is no text, a second one is', () => {
    expect(decodeText(Buffer.from('\uFEFF\uFEFFa'), 'x')).toBe('\uFEFFa');
    expect(decodeText(Buffer.from('\uFEFF'), 'x')).toBe('');
  });

  test.each([
    ['UTF-16 without a mark', Buffer.from('Hello', 'utf16le'), 'notes.txt has zero bytes: it is UTF-16'],
    ['UTF-16 without a mark, high byte first', utf16be('Hello'), 'notes.txt has zero bytes'],
    ['half a character of UTF-16', Buffer.from([0xff, 0xfe, 0x41]), 'notes.txt is not valid UTF-16LE text'],
    ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 0x41, 0, 0, 0]), 'notes.txt is UTF-32'],
    ['Latin-1', Buffer.from('Größe', 'latin1'), 'notes.txt is not valid UTF-8 text'],
    ['a character that ends early', Buffer.from('漢').subarray(0, 2), 'notes.txt is not valid UTF-8 text'],
  ])('%s is refused by name', (_, bytes, message) => {
    expect(() => decodeText(bytes, 'notes.txt')).toThrow(UsageError);
    expect(() => decodeText(bytes, 'notes.txt')).toThrow(message);
  });

  test('that never ends is not read for ever', async () => {
    const block = Buffer.alloc(1 << 20, 'a');
    const endless = Readable.from(
      (function* () {
        for (;;) yield block;
      })(),
    ) as unknown as NodeJS.ReadStream;
    await expect(readText('-', 'prompt', endless)).rejects.toThrow('standard input has more than 64.0 MB');
  });

  test('ids in a file may begin with a mark, and what is no text names the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rnd1-input-'));
    try {
      const path = join(folder, 'ids');
      writeFileSync(path, '\uFEFF1,2', 'utf16le');
      await expect(readTokenText(`@${path}`)).resolves.toBe('1,2');
      writeFileSync(path, Buffer.from([0x31, 0xff]));
      await expect(readTokenText(`@${path}`)).rejects.toThrow(`${path} is not valid UTF-8 text`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

import { Tokenizer } from '../../../../lib/checkpoint/tokenizer/tokenizer';
import { AnswerText, type Piece } from '../../../../lib/server/openai/answer-text';
import type { Frame } from '../../../../lib/server/prepared-canvas';
import { bytes, eos, mask, nano } from '../nano-bytes';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = (await Tokenizer.load(nano)) as Tokenizer;
});

const first = 3;

/** Feeds commits to a reader: each step is a list of [index in the answer, token id]. */
function read(
  length: number,
  steps: readonly (readonly (readonly [number, number])[])[],
  options: { stop?: string[]; skipSpace?: boolean; ends?: number[]; continues?: boolean } = {},
) {
  const reader = new AnswerText({
    tokenizer,
    positions: Array.from({ length }, (_, i) => first + i),
    ends: new Set(options.ends ?? [eos, 256]),
    stop: options.stop ?? [],
    skipSpace: options.skipSpace ?? false,
    continues: options.continues ?? true,
  });
  const tokens = new Int32Array(first + length).fill(mask);
  const masked = new Uint8Array(first + length).fill(1, first);
  const pieces: (Piece | null)[] = [];
  steps.forEach((commits, step) => {
    const confidence = new Float32Array(tokens.length).fill(Number.NaN);
    for (const [index, id] of commits) {
      tokens[first + index] = id;
      masked[first + index] = 0;
      confidence[first + index] = -(step + 1);
    }
    const committed = Int32Array.from(commits.map(([index]) => first + index));
    const frame = { tokens, masked, committed, confidence } as Partial<Frame> as Frame;
    if (reader.finish === null) pieces.push(reader.read(frame));
  });
  return { reader, pieces, texts: pieces.map((piece) => piece?.text ?? null) };
}

/** All bytes of a text in one step, from index `start` on. */
const write = (text: string, start = 0) => bytes(text).map((id, i) => [start + i, id] as const);

test('gives nothing before the first position is committed, then everything up to the first mask', () => {
  const [a, b, c, d, e] = write('abcde') as [never, never, never, never, never];
  expect(read(5, [[e], [b, c], [a], [d]]).texts).toEqual([null, null, 'abc', 'de']);
});

test('keeps a character back until all its bytes are there', () => {
  const letters = write('aé€🙂z');
  const { texts, reader } = read(
    letters.length,
    letters.map((letter) => [letter]),
  );
  expect(texts.filter((text) => text !== null)).toEqual(['a', 'é', '€', '🙂', 'z']);
  expect(reader.finish).toBe('length');
});

test('gives bytes that are no character at the end, and when what follows proves it', () => {
  expect(read(2, [[[0, 0xe2]], [[1, 0x61]]]).texts).toEqual([null, '\uFFFDa']);
  expect(read(2, [[[0, 0x61]], [[1, 0xe2]]]).texts).toEqual(['a', '\uFFFD']);
});

test('ends at the first end of text, whatever was committed behind it', () => {
  const { texts, reader } = read(5, [[[1, eos], ...write('xyz', 2)], write('a')]);
  expect(texts).toEqual([null, 'a']);
  expect(reader.finish).toBe('stop');
  expect(reader.tokens).toBe(1);
});

test('goes on to the last position where nothing ends a text', () => {
  const { reader } = read(2, [[[0, eos], ...write('b', 1)]], { ends: [] });
  expect(reader.finish).toBe('length');
});

describe('stop strings', () => {
  test('are cut off, with what follows', () => {
    const { texts, reader } = read(6, [write('abcdef')], { stop: ['x', 'cd', 'd'] });
    expect(texts).toEqual(['ab']);
    expect(reader.finish).toBe('stop');
    expect(reader.tokens).toBe(2);
  });

  test('are found across steps, and their beginnings wait', () => {
    const steps = write('a-->b').map((letter) => [letter]);
    expect(read(5, steps, { stop: ['-->'] }).texts).toEqual(['a', null, null, null]);
    const other = write('a--b-').map((letter) => [letter]);
    expect(read(5, other, { stop: ['-->'] }).texts).toEqual(['a', null, null, '--b', '-']);
  });

  test('and broken characters cost no more than their length', () => {
    const half = 'a'.repeat(20_000);
    const start = performance.now();
    const { texts } = read(40_000, [write(half), write(half, 20_000)], { stop: [`${half}b${half}`] });
    // A possible beginning of the stop string waits until the answer is complete.
    expect(texts.map((text) => text?.length ?? 0)).toEqual([0, 40_000]);
    const broken = Array.from({ length: 40_000 }, (_, i): [number, number] => [i, i === 39_999 ? 97 : 0xc3]);
    expect(read(40_000, [broken]).texts[0]?.endsWith('\uFFFDa')).toBe(true);
    // A quadratic algorithm would take minutes.
    expect(performance.now() - start).toBeLessThan(30_000);
  });

  test('may begin in the middle of another beginning', () => {
    const steps = write('aaab').map((letter) => [letter]);
    expect(read(4, steps, { stop: ['aab'] }).texts).toEqual([null, null, 'a', null]);
  });
});

describe('of several stop strings', () => {
  const texts = ['a k m q z', 'aab', 'abcbcd', 'é🙂é', 'xyxz'];
  const lists = [
    ['k', 'a k m q z'],
    ['a k m', 'm', ' m'],
    ['b', 'ab', 'aab'],
    ['cb', 'bc', 'bcb'],
    ['\uFFFD', '🙂', 'é🙂'],
    ['xz', 'x', 'yx'],
    ['never', 'z'],
  ];
  test.each(texts.flatMap((text) => lists.map((stop) => [text, stop] as const)))(
    'the one that is complete first ends %j, whatever a step commits: %j',
    (text, stop) => {
      // The reference reads letter by letter: the stop string that is complete first, the longest of several.
      let right = text;
      for (let end = text.length; end > 0; end--) {
        const starts = stop
          .filter((each) => text.slice(0, end).endsWith(each))
          .map((each) => end - each.length);
        if (starts.length > 0) right = text.slice(0, Math.min(...starts));
      }
      const letters = write(text);
      const groups = [
        [letters],
        letters.map((letter) => [letter]),
        [...letters].reverse().map((letter) => [letter]),
        [letters.filter((_, i) => i % 2 === 1), letters.filter((_, i) => i % 2 === 0)],
        [letters.slice(0, 3), letters.slice(3)],
      ];
      const readings = groups.map((steps) => read(letters.length, steps, { stop: [...stop] }));
      for (const { texts: pieces, reader } of readings) {
        expect(pieces.join('')).toBe(right);
        expect(reader.finish).toBe(right === text ? 'length' : 'stop');
        expect(reader.tokens).toBe(Buffer.byteLength(right));
      }
    },
  );
});

describe('the offset of a token', () => {
  const offsets = (ids: number[], options: Parameters<typeof read>[2] = {}, groups = [ids.length]) => {
    let from = 0;
    const steps = groups.map((size) => {
      const step = ids.slice(from, from + size).map((id, i) => [from + i, id] as const);
      from += size;
      return step;
    });
    const { pieces } = read(ids.length, steps, options);
    return pieces.flatMap((piece) => piece?.tokens.map(({ offset }) => offset) ?? []);
  };

  test('counts the characters of the text before it, and is that of its character inside of one', () => {
    const ids = bytes('aé🙂b');
    expect(offsets(ids)).toEqual([0, 1, 1, 2, 2, 2, 2, 3]);
    expect(offsets(ids, {}, [1, 1, 2, 3, 1])).toEqual(offsets(ids));
    // Broken characters are one U+FFFD each; special tokens have no text.
    expect(offsets([0xe2, 0x82, 0x61, 0xff, 257, 0x62])).toEqual([0, 0, 1, 2, 3, 3]);
  });

  test('does not count a space that is left out', () => {
    expect(offsets(bytes(' 85'), { skipSpace: true })).toEqual([0, 0, 1]);
    expect(offsets(bytes(' 85'))).toEqual([0, 1, 2]);
  });
});

test('leaves one space at the start out where it is the form of the answer', () => {
  const steps = write('  85').map((letter) => [letter]);
  expect(read(4, steps, { skipSpace: true }).texts.join('')).toBe(' 85');
  expect(read(2, [write('85')], { skipSpace: true }).texts).toEqual(['85']);
  expect(read(4, steps).texts.join('')).toBe('  85');
});

test('names every token once, with the log-probability of the step that committed it', () => {
  const { pieces, reader } = read(4, [write('é', 1), write('a'), [[3, eos]]]);
  const tokens = pieces.flatMap((piece) => piece?.tokens ?? []);
  expect(tokens).toEqual([
    { id: 0x61, position: 3, logprob: -2, offset: 0 },
    { id: 0xc3, position: 4, logprob: -1, offset: 1 },
    { id: 0xa9, position: 5, logprob: -1, offset: 1 },
  ]);
  expect(reader.tokens).toBe(3);
});

test('is over at once where there is nothing to fill', () => {
  expect(read(0, []).reader.finish).toBe('length');
});

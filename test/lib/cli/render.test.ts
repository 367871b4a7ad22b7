import { cellsOf } from '../../../lib/cli/cells';
import { visible, wrap } from '../../../lib/cli/layout';
import { LoadingBar } from '../../../lib/cli/progress';
import { LiveCanvas, type Status, statusLine } from '../../../lib/cli/render';
import { styleFor } from '../../../lib/cli/style';
import { Screen } from './screen';

const decoder = new TextDecoder();
/** A byte-level vocabulary: 256 bytes, then special tokens without text. */
const decode = (tokens: readonly number[]) =>
  decoder.decode(Uint8Array.from(tokens.filter((id) => id < 256)));
const encode = (text: string) => [...new TextEncoder().encode(text)];
const plain = styleFor({ isTTY: false });
const coloured = styleFor({ isTTY: true }, { TERM: 'xterm' });

function frame(tokens: readonly number[], masked: readonly number[] = [], committed: readonly number[] = []) {
  const flags = new Uint8Array(tokens.length);
  for (const position of masked) flags[position] = 1;
  return { tokens: Int32Array.from(tokens), masked: flags, committed: Int32Array.from(committed) };
}

const status: Status = { step: 1, steps: 4, filled: 2, total: 8, seconds: 0.5 };

describe('pieces of a canvas', () => {
  test('fixed, masked, fresh, filled and special', () => {
    const holes = Uint8Array.of(0, 1, 1, 1, 1);
    expect(cellsOf(frame([97, 98, 259, 99, 258], [2], [3]), { decode, holes })).toEqual([
      { text: 'a', kind: 'fixed' },
      { text: 'b', kind: 'filled' },
      { text: '░', kind: 'masked' },
      { text: 'c', kind: 'fresh' },
      { text: '·', kind: 'special' },
    ]);
  });

  test('the bytes of a character are joined as soon as they are there', () => {
    const tokens = encode('漢x');
    const holes = new Uint8Array(4).fill(1);
    expect(cellsOf(frame(tokens, [], [1]), { decode, holes })).toEqual([
      { text: '漢', kind: 'fresh' },
      { text: 'x', kind: 'filled' },
    ]);
    const partial = cellsOf(frame(tokens, [1]), { decode, holes });
    expect(partial.map((cell) => cell.kind)).toEqual(['filled', 'masked', 'filled', 'filled']);
    expect(partial[3]?.text).toBe('x');
  });

  test('without a tokenizer, ids', () => {
    const cells = cellsOf(frame([5, 6, 7], [1]), { decode: null, holes: Uint8Array.of(0, 1, 0) });
    expect(cells.map((cell) => cell.text).join('')).toBe('5 ░ 7');
  });

  test('what a model writes cannot steer the terminal', () => {
    const cells = cellsOf(frame(encode('\x1b[2J')), { decode, holes: new Uint8Array(4) });
    expect(cells.map((cell) => cell.text).join('')).toBe('␛[2J');
  });
});

describe('wrapping', () => {
  const lines = (text: string, columns: number) =>
    wrap([{ text, kind: 'fixed' }], columns, plain).map((line) => line.text);

  test('breaks at the width and at newlines', () => {
    expect(lines('abcdef', 4)).toEqual(['abcd', 'ef']);
    expect(lines('ab\n\ncd', 4)).toEqual(['ab', '', 'cd']);
    expect(lines('', 4)).toEqual(['']);
  });

  test('counts wide characters as two columns', () => {
    expect(lines('漢字漢字', 5)).toEqual(['漢字', '漢字']);
    expect(lines('a🙂🙂', 4)).toEqual(['a🙂', '🙂']);
    expect(wrap([{ text: '漢字a', kind: 'fixed' }], 9, plain)[0]?.width).toBe(5);
  });

  test('keeps to the width across pieces', () => {
    const cells = ['ab', 'cd', '漢', 'e'].map((text) => ({ text, kind: 'fixed' as const }));
    expect(wrap(cells, 5, plain).map((line) => line.text)).toEqual(['abcd', '漢e']);
  });

  test('a fresh newline is seen', () => {
    expect(wrap([{ text: '\n', kind: 'fresh' }], 5, plain).map((line) => line.text)[0]).toBe('↵');
  });

  test('styles whole runs and closes them at the end of a line', () => {
    const [first, second] = wrap([{ text: 'abc', kind: 'fresh' }], 2, coloured);
    expect(first?.text).toBe('\x1b[30;42mab\x1b[0m');
    expect(second?.text).toBe('\x1b[30;42mc\x1b[0m');
    expect(wrap([{ text: '░', kind: 'masked' }], 2, coloured)[0]?.text).toBe('\x1b[2m░\x1b[0m');
  });

  test('what does not fit the height follows the first masked line', () => {
    const all = ['a', 'b', 'c', 'd', 'e'].map((text) => ({ text, width: 1, hasMasked: text >= 'd' }));
    expect(visible(all, 5).map((line) => line.text)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(visible(all, 2).map((line) => line.text)).toEqual(['c', 'd']);
    const done = all.map((line) => ({ ...line, hasMasked: false }));
    expect(visible(done, 2).map((line) => line.text)).toEqual(['d', 'e']);
  });
});

describe('status line', () => {
  test('step, bar, tokens, rate and time', () => {
    expect(statusLine(status, 80)).toBe('step 1/4 ██████░░░░░░░░░░░░░░░░░░ 2/8 tokens  4.0 tokens/s  0.5 s');
  });

  test('fits any width', () => {
    for (const columns of [1, 5, 10, 30, 50, 60])
      expect(statusLine(status, columns).length).toBeLessThanOrEqual(columns);
  });
});

describe('the live canvas', () => {
  const holes = new Uint8Array(64).fill(1);
  const text = (from: string, masked: readonly number[] = []) => frame(encode(from), masked);

  test('draws over the frame before, in one write', () => {
    const screen = new Screen(20, 10);
    screen.write('$ rnd1\n');
    const live = new LiveCanvas(screen, { decode, holes });
    live.draw(text('hello\nworld', [1, 2]), status);
    expect(screen.lines()).toEqual(['$ rnd1', 'h░░lo', 'world', 'step 1/4  2/8 toke…']);
    const writes = screen.writes;
    live.draw(text('hello\nworld'), { ...status, step: 2 });
    expect(screen.writes).toBe(writes + 1);
    expect(screen.lines()).toEqual(['$ rnd1', 'hello', 'world', 'step 2/4  2/8 toke…']);
    live.close();
    expect(screen.lines()).toEqual(['$ rnd1']);
  });

  test('a terminal that does not know its size is taken for 80 by 24', () => {
    const screen = new Screen(80, 24);
    const live = new LiveCanvas(
      { write: (given: string) => screen.write(given), isTTY: true, columns: 0, rows: 0 },
      { decode, holes },
    );
    live.draw(text('hello\nworld'), status);
    expect(screen.lines().slice(0, 2)).toEqual(['hello', 'world']);
    live.close();
  });

  test('fewer lines than before leave nothing behind', () => {
    const screen = new Screen(30, 10);
    const live = new LiveCanvas(screen, { decode, holes });
    live.draw(text('a\nb\nc'), status);
    live.draw(text('a'), status);
    expect(screen.lines()).toHaveLength(2);
    live.close();
    expect(screen.lines()).toEqual([]);
  });

  test('wide characters neither shift nor break lines', () => {
    const screen = new Screen(9, 10);
    const live = new LiveCanvas(screen, { decode, holes });
    live.draw(text('漢字漢字漢字'), status);
    live.draw(text('漢字漢字漢字'), status);
    expect(screen.lines().slice(0, 2)).toEqual(['漢字漢字', '漢字']);
    live.close();
    expect(screen.lines()).toEqual([]);
  });

  test('a canvas that is higher than the terminal is cut, not scrolled', () => {
    const screen = new Screen(30, 6);
    const live = new LiveCanvas(screen, { decode, holes });
    for (let i = 0; i < 3; i++) live.draw(text('a\nb\nc\nd\ne\nf\ng\nh', [8]), status);
    expect(screen.scrolled).toBe(0);
    expect(screen.lines().some((line) => line.includes('░'))).toBe(true);
    live.close();
    expect(screen.lines()).toEqual([]);
  });

  test('the cursor is hidden while it draws and always comes back', () => {
    const screen = new Screen(30, 10);
    const live = new LiveCanvas(screen, { decode, holes });
    const listeners = process.listenerCount('exit');
    live.draw(text('a'), status);
    expect(screen.cursorHidden).toBe(true);
    expect(process.listenerCount('exit')).toBe(listeners + 1);
    process.listeners('exit').at(-1)?.call(process, 0);
    expect(screen.cursorHidden).toBe(false);
    expect(process.listenerCount('exit')).toBe(listeners);
    live.close();
    live.draw(text('a'), status);
    live.close();
    expect(screen.cursorHidden).toBe(false);
  });

  test('a terminal that has become narrower is cleared as well', () => {
    const screen = new Screen(40, 12);
    const live = new LiveCanvas(screen, { decode, holes });
    live.draw(text('a'.repeat(39)), status);
    screen.resize(20);
    live.draw(text('b'.repeat(39)), status);
    expect(screen.lines().join('')).not.toContain('a'.repeat(4));
    live.close();
    expect(screen.lines()).toEqual([]);
  });
});

describe('colours', () => {
  test('only in terminals, and not against NO_COLOR or TERM=dumb', () => {
    const styled = (isTTY: boolean, environment: NodeJS.ProcessEnv) =>
      styleFor({ isTTY }, environment).cell('x', 'fresh') !== 'x';
    expect(styled(true, { TERM: 'xterm' })).toBe(true);
    expect(styled(true, { TERM: 'xterm', NO_COLOR: '1' })).toBe(false);
    expect(styled(true, { TERM: 'xterm', NO_COLOR: '' })).toBe(true);
    expect(styled(true, { TERM: 'dumb' })).toBe(false);
    expect(styled(false, { TERM: 'xterm' })).toBe(false);
  });
});

describe('the loading bar', () => {
  const half = { bytes: 1_500_000, totalBytes: 3_000_000, tensors: 5, totalTensors: 10 };

  test('appears once loading takes time, and is cleared', () => {
    const screen = new Screen(80, 4);
    let now = 0;
    const loading = new LoadingBar(screen, () => now);
    loading.update(half);
    expect(screen.lines()).toEqual([]);
    now = 1000;
    loading.update(half);
    expect(screen.lines()).toEqual(['loading ████████████░░░░░░░░░░░░ 1.50 MB of 3.00 MB, 5/10 tensors']);
    loading.close();
    expect(screen.lines()).toEqual([]);
  });

  test('says what it waits for until there is progress, at once and for how long', () => {
    jest.useFakeTimers();
    try {
      const screen = new Screen(80, 4);
      let now = 0;
      const pass = (milliseconds: number) => {
        now += milliseconds;
        jest.advanceTimersByTime(milliseconds);
      };
      const loading = new LoadingBar(screen, () => now);
      loading.begin('looking up owner/name');
      expect(screen.lines()).toEqual(['looking up owner/name …']);
      pass(500);
      pass(2600);
      expect(screen.lines()).toEqual(['looking up owner/name … 3 s']);
      const file = { file: 'a', fileBytes: 1, fileTotalBytes: 1 };
      const download = { ...file, bytes: 1, totalBytes: 2, files: 1, totalFiles: 2 };
      loading.update({ ...half, download });
      expect(screen.lines().join()).not.toContain('looking up');
      pass(1000);
      loading.update({ ...half, download: { ...download, bytes: 2, files: 2 } });
      expect(screen.lines()).toEqual(['reading configuration and tokenizer …']);
      pass(1000);
      loading.update(half);
      expect(screen.lines()).toEqual([expect.stringMatching(/^loading /)]);
      loading.close();
      expect(screen.lines()).toEqual([]);
      expect(jest.getTimerCount()).toBe(0);
    } finally {
      jest.useRealTimers();
    }
  });

  test('is silent where there is no terminal', () => {
    const screen = new Screen(80, 4, false);
    let now = 0;
    const loading = new LoadingBar(screen, () => now);
    loading.begin('reading a folder');
    now = 1000;
    loading.update(half);
    loading.close();
    expect(screen.writes).toBe(0);
  });
});

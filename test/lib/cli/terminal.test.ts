import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, start } from './rnd1';
import { Screen } from './screen';

/** Runs a command in a pseudo-terminal of util-linux's `script` and returns its output. */
async function inTerminal(command: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const line = `stty columns 60 rows 20; '${process.execPath}' '${join(root, 'dist/cli/main.js')}' ${command}`;
  const { code, stdout } = await start('script', ['-qec', line, '/dev/null'], {
    env: { TERM: 'xterm', NO_COLOR: '', ...env },
  });
  expect(code).toBe(0);
  return stdout;
}

const draws = process.platform === 'linux' ? test : test.skip;
if (process.platform !== 'linux')
  console.warn('SKIPPED: the command line in a pseudo-terminal; needs util-linux.');

/** The screen after the output. */
function screenAfter(output: string): Screen {
  const screen = new Screen(60, 20);
  screen.write(output);
  return screen;
}

describe('in a terminal', () => {
  const generate = "generate 'Sort z k m q' --steps 8 -n 32";

  draws('the canvas is drawn while it unmasks, then the answer and a summary stay', async () => {
    const output = await inTerminal(generate);
    expect(output.split('\x1b[?2026h').length).toBeGreaterThan(4);
    expect(output).toContain('\x1b[2m░');
    expect(output).toContain('\x1b[30;42m');
    expect(output).toMatch(/step \d\/8 [█░]* \d+\/31 tokens {2}[\d.]+ tokens\/s/);
    const screen = screenAfter(output);
    expect(screen.cursorHidden).toBe(false);
    expect(screen.lines()[0]).toBe('k m q z');
    expect(screen.lines()[1]).toMatch(/^31 tokens in \d forwards, [\d.]+ s, [\d.]+ tokens\/s$/);
    expect(screen.lines()).toHaveLength(2);
  });

  draws('not with --no-live, and nothing but the answer with --quiet', async () => {
    expect(await inTerminal(`${generate} --no-live`)).not.toContain('\x1b[?2026h');
    expect(await inTerminal(`${generate} --no-live --quiet`)).toBe('k m q z\r\n');
  });

  draws('without colours where they are not wanted', async () => {
    const output = await inTerminal(generate, { NO_COLOR: '1' });
    expect(output).toContain('\x1b[?2026h');
    for (const colour of ['\x1b[2m', '\x1b[1m', '\x1b[30;42m', '\x1b[0m'])
      expect(output).not.toContain(colour);
  });

  const folder = mkdtempSync(join(tmpdir(), 'rnd1-terminal-'));
  const text = join(folder, 'text');
  writeFileSync(text, 'a\x1b[31m\x9b5n\u202e_b');
  afterAll(() => rmSync(folder, { recursive: true }));
  const hostile = `fill --tokens-per-hole 1 --hole _ --no-live --quiet --seed 1 < '${text}'`;

  draws('text cannot steer it, and is exact where it is piped', async () => {
    expect(await inTerminal(hostile)).toMatch(/^a␛\[31m\uFFFD5n\uFFFD.+b\r\n$/s);
    const piped = await inTerminal(`${hostile} | od -An -c`);
    expect(piped.replace(/\s+/g, ' ')).toContain('a 033 [ 3 1 m 302 233 5 n 342 200 256');
  });

  draws('lines of JSON are escaped, and say the same', async () => {
    const output = await inTerminal(`${hostile.replace('fill', 'fill --json')} | tail -n 1`);
    expect(output).toContain('\\u001b[31m\\u009b5n\\u202e');
    expect(JSON.parse(output).text.startsWith('a\x1b[31m\x9b5n\u202e')).toBe(true);
  });
});

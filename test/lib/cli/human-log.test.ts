import { HumanLog } from '../../../lib/cli/human-log';
import { styleFor } from '../../../lib/cli/style';

/** Formats log entries, without the time. */
function logged(...entries: (object | string)[]): string[] {
  const lines: string[] = [];
  const log = new HumanLog({ write: (text) => lines.push(text) }, styleFor({ isTTY: false }));
  for (const entry of entries)
    log.write(
      typeof entry === 'string'
        ? entry
        : `${JSON.stringify({ level: 30, time: 0, pid: 1, hostname: 'h', ...entry })}\n`,
    );
  for (const line of lines) expect(line.endsWith('\n')).toBe(true);
  return lines.map((line) => line.slice(0, -1).replace(/^\d\d:\d\d:\d\d {2}/, ''));
}

test('a request is one short line', () => {
  const request = { msg: 'request', id: 'x', method: 'POST', path: '/v1/fill' };
  expect(
    logged({ ...request, status: 200, seconds: 0.0123 }, { ...request, status: 504, seconds: 61.239 }),
  ).toEqual(['POST /v1/fill  200  12 ms', 'POST /v1/fill  504  61.24 s']);
});

test('the time is that of the entry', () => {
  const lines: string[] = [];
  new HumanLog({ write: (text) => lines.push(text) }, styleFor({ isTTY: false })).write(
    `${JSON.stringify({ time: new Date(2026, 0, 2, 3, 4, 5).getTime(), msg: 'x' })}\n`,
  );
  expect(lines).toEqual(['03:04:05  x\n']);
});

test('warnings and errors are marked, with their causes', () => {
  const err = { type: 'Error', message: 'no memory', stack: 'Error: no memory\n    at here (x.js:1:2)' };
  expect(
    logged({ level: 50, msg: 'failed', err }, { level: 40, msg: 'slow' }, { msg: 'refused', err, more: [1] }),
  ).toEqual([
    'error: failed: no memory\n      at here (x.js:1:2)',
    'warning: slow',
    'refused: no memory  more=[1]',
  ]);
});

test('nothing steers the terminal, and where the server listens is not said twice', () => {
  const [path] = logged({ msg: 'request', method: 'GET', path: '/\x1b[2J', status: 404, seconds: 0 });
  expect(path).toBe('GET /␛[2J  404  0 ms');
  expect(logged({ msg: 'Server listening at http://127.0.0.1:1' }, 'no JSON \x1b\n')).toEqual(['no JSON ␛']);
});

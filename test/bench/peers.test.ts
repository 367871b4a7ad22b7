import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Figure } from '../../bench/support/figures';
import { withBaselines } from '../../bench/support/peers';
import { temporaryFolder } from './tiny';

const figure = (rows: number): Figure => ({
  case: 'even',
  shape: { rows, experts: 128, expertsHit: 100 },
  seconds: 2,
  shortestSeconds: 1,
  longestSeconds: 3,
  operations: 10,
  bytes: 20,
  baselines: [],
});
const figures = [figure(64), figure(256)];

/** A python3 that has torch and a GPU, as it says, and prints these lines. */
function pretendPeer(lines: readonly object[], status = 0): string {
  const folder = temporaryFolder();
  const printed = lines.map((line) => `echo '${JSON.stringify(line)}'\n`).join('');
  const script = `#!/bin/sh\n[ "$1" = -c ] && exit 0\necho a warning\n${printed}exit ${status}\n`;
  writeFileSync(join(folder, 'python3'), script);
  chmodSync(join(folder, 'python3'), 0o755);
  return join(folder, 'python3');
}

describe('baselines', () => {
  const peer = { peer: 'experts.py', device: 'cuda:0', args: [] };
  const line = (rows: number, given: object = {}) => ({
    case: 'even',
    shape: { rows, experts: 128 },
    name: 'torch grouped',
    seconds: 5,
    ...given,
  });

  test('go to the figures of their case and sizes', () => {
    const lines = [
      line(256),
      line(64, { case: 'skewed' }),
      line(256, { name: 'reference loop', seconds: 9 }),
    ];
    const [small, large] = withBaselines(figures, { ...peer, python: pretendPeer(lines) });
    expect(small?.baselines).toEqual([]);
    expect(large?.baselines).toEqual([
      { name: 'torch grouped', seconds: 5 },
      { name: 'reference loop', seconds: 9 },
    ]);
  });

  test('of a peer that fails half-way are those it printed', () => {
    const [small, large] = withBaselines(figures, { ...peer, python: pretendPeer([line(64)], 1) });
    expect(small?.baselines).toHaveLength(1);
    expect(large?.baselines).toEqual([]);
  });

  test('are not asked for on a CPU, nor where nothing is named', () => {
    const python = pretendPeer([line(64), line(256)]);
    expect(withBaselines(figures, { ...peer, python, device: 'cpu' })).toBe(figures);
    expect(withBaselines(figures, { ...peer, python, peer: undefined })).toBe(figures);
  });
});

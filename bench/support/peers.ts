import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root, say } from '../../scripts/command';
import type { Baseline, Figure } from './figures';

/** One output line of a script in bench/peers. */
interface PeerLine extends Baseline {
  readonly case: string;
  readonly shape: Readonly<Record<string, number>>;
}

export interface PeerRun {
  /** A script of bench/peers; undefined for ops without a peer. */
  readonly peer: string | undefined;
  readonly device: string;
  readonly args: readonly string[];
  /** @default 'python3' */
  readonly python?: string;
}

/** Whether PyTorch with a GPU, which the peers need, is available. */
function torchIsHere(python: string): boolean {
  const script = 'import torch; raise SystemExit(not torch.cuda.is_available())';
  return spawnSync(python, ['-c', script], { stdio: 'ignore' }).status === 0;
}

/** Whether a peer's case is this one: all sizes that both have are equal. */
function matches(line: PeerLine, figure: Figure): boolean {
  return (
    line.case === figure.case &&
    Object.entries(line.shape).every(([key, value]) => (figure.shape[key] ?? value) === value)
  );
}

/** Adds to the figures what a script of bench/peers measured for the same cases; unchanged if it cannot run. */
export function withBaselines<Case extends Figure>(
  figures: readonly Case[],
  { peer, device, args, python = 'python3' }: PeerRun,
): readonly Case[] {
  if (!peer || !device.startsWith('cuda') || !torchIsHere(python)) return figures;
  const { status, stdout } = spawnSync(python, [join(root, 'bench', 'peers', peer), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // A failing baseline must not discard the measurements.
  if (status !== 0) say(`bench/peers/${peer} ended with exit code ${status}.`);
  const lines = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as PeerLine);
  return figures.map((figure) => ({
    ...figure,
    baselines: lines.filter((line) => matches(line, figure)).map(({ name, seconds }) => ({ name, seconds })),
  }));
}

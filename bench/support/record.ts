import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { root } from '../../scripts/command';

/** What a figure is worth nothing without. */
export interface Circumstances {
  readonly date: string;
  /** null outside a checkout. */
  readonly commit: string | null;
  /** Whether the sources differ from the commit. */
  readonly modified: boolean;
  readonly node: string;
  /** Of the GPU; null on a CPU or where it cannot be asked. */
  readonly driver: string | null;
}

function firstLine(program: string, args: readonly string[]): string | null {
  const { status, stdout } = spawnSync(program, args, { cwd: root, encoding: 'utf8' });
  return status === 0 ? (stdout.split('\n')[0]?.trim() ?? null) : null;
}

export function circumstances(device: string): Circumstances {
  return {
    date: new Date().toISOString(),
    commit: firstLine('git', ['rev-parse', 'HEAD']),
    modified: !!firstLine('git', ['status', '--porcelain', '--untracked-files=no']),
    node: process.version,
    driver: device.startsWith('cuda')
      ? firstLine('nvidia-smi', ['--query-gpu=driver_version', '--format=csv,noheader'])
      : null,
  };
}

export function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

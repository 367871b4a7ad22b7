import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { root } from '../../scripts/command';

/** The context that makes a figure reproducible. */
export interface Circumstances {
  readonly date: string;
  /** null outside a checkout. */
  readonly commit: string | null;
  /** Whether the sources differ from the commit. */
  readonly modified: boolean;
  readonly node: string;
  /** Version of the GPU's driver; null on a CPU or if unknown. */
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

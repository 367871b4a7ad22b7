import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/**
 * Physical cores that this process may use, at least 1: two hardware threads of a core share its multiply-add units, so
 * that a second compute thread gains nothing there. On Linux only the cores of the process's affinity count, and no more
 * than the processor time that its control groups grant, which `docker run --cpus` and Kubernetes set. On macOS the
 * performance cores: an efficiency core multiplies about a third as fast, and products whose parts are one a thread wait
 * for the slowest. Elsewhere `os.availableParallelism()`.
 */
export function usableCores(
  root = '/',
  available: number = availableParallelism(),
  kernelState: (name: string) => number = macosKernelState,
): number {
  // Macs with Intel processors do not know the first.
  const onMac = kernelState('hw.perflevel0.physicalcpu') || kernelState('hw.physicalcpu');
  if (onMac > 0) return Math.min(onMac, available);
  const status = read(root, 'proc/self/status');
  const allowed = parseList(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status ?? '')?.[1]);
  const cores = new Set<string>();
  for (const processor of allowed) {
    const siblings = read(root, `sys/devices/system/cpu/cpu${processor}/topology/thread_siblings_list`);
    cores.add(siblings?.trim() || `processor ${processor}`);
  }
  const physical = cores.size > 0 ? Math.min(cores.size, available) : available;
  return Math.max(1, Math.min(physical, Math.ceil(grantedProcessors(root))));
}

/** A number of macOS's `sysctl`; NaN if there is none, and on other systems. */
function macosKernelState(name: string): number {
  if (process.platform !== 'darwin') return Number.NaN;
  return Number.parseInt(spawnSync('/usr/sbin/sysctl', ['-n', name], { encoding: 'utf8' }).stdout, 10);
}

/** Processors' worth of time that the control groups of this process grant; ∞ if they set no limit. */
function grantedProcessors(root: string): number {
  const groups = read(root, 'proc/self/cgroup') ?? '';
  const unified = /^0::(\/.*)$/m.exec(groups)?.[1];
  const separate = /^\d+:(?:[^:\n]*,)?cpu(?:,[^:\n]*)?:(\/.*)$/m.exec(groups)?.[1];
  return Math.min(
    ...ancestors(unified).map((path) => quotaOf(read(root, `sys/fs/cgroup${path}/cpu.max`))),
    ...ancestors(separate).map((path) => {
      const folder = `sys/fs/cgroup/cpu${path}`;
      return quotaOf(
        `${read(root, `${folder}/cpu.cfs_quota_us`)} ${read(root, `${folder}/cpu.cfs_period_us`)}`,
      );
    }),
    Number.POSITIVE_INFINITY,
  );
}

/** `/a/b` → `/a/b`, `/a`, and the empty string: a limit of an outer group holds too. */
function ancestors(path: string | undefined): string[] {
  if (path === undefined) return [];
  const parts = path.split('/').filter(Boolean);
  return [...parts.map((_, i) => `/${parts.slice(0, parts.length - i).join('/')}`), ''];
}

/** `200000 100000` → 2; ∞ for `max 100000`, −1 and anything else. */
function quotaOf(text: string | null): number {
  const [, quota, period] = /^(\d+)\s+(\d+)/.exec(text ?? '') ?? [];
  const processors = Number(quota) / Number(period);
  return processors > 0 ? processors : Number.POSITIVE_INFINITY;
}

/** `0-3,8` → 0, 1, 2, 3, 8 */
function parseList(text = ''): number[] {
  return text.split(',').flatMap((part) => {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (first === undefined) return [];
    const start = Number(first);
    return Array.from({ length: Math.max(0, Number(last ?? first) - start + 1) }, (_, i) => start + i);
  });
}

function read(root: string, file: string): string | null {
  try {
    return readFileSync(join(root, file), 'utf8');
  } catch {
    return null;
  }
}

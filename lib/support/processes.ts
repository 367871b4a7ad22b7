import { createHash } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Identifies this machine or container: the processes with the same one see each other's ids. */
export const hostId = createHash('sha1')
  .update(`${hostname()} ${processNamespace()}`)
  .digest('hex')
  .slice(0, 8);

/** Whether a process of this machine or container runs. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // The process of another user runs.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Containers may share a host name, but have their own process ids. */
function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

import { readFileSync } from 'node:fs';

/** Resident bytes of the process: private memory, and mapped files, which the system may evict. Linux only. */
export function residentBytes(): { readonly own: number; readonly files: number } | null {
  if (process.platform !== 'linux') return null;
  const status = readFileSync('/proc/self/status', 'utf8');
  const bytes = (name: string) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
  return { own: bytes('RssAnon'), files: bytes('RssFile') };
}

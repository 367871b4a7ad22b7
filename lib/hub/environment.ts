import { homedir } from 'node:os';

/** Expands `~` and `$NAME`, as a shell would. */
export function expand(path: string): string {
  return path
    .replace(/^~(?=$|[\\/])/, () => homedir())
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (all, bare, braced) => process.env[bare ?? braced] ?? all);
}

/** Whether a switch in the environment is on. */
export const isTrue = (value: string | undefined) => /^(1|on|yes|true)$/i.test(value ?? '');

import { homedir } from 'node:os';
import { join } from 'node:path';

/** Expands `~` and `$NAME`, as a shell would. */
export function expand(path: string): string {
  return path
    .replace(/^~(?=$|[\\/])/, () => homedir())
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (all, bare, braced) => process.env[bare ?? braced] ?? all);
}

/** Whether a switch in the environment is on. */
export const isTrue = (value: string | undefined) => /^(1|on|yes|true)$/i.test(value ?? '');

/** The folder of all Hugging Face libraries; variables in it are not expanded. */
export function huggingFaceHome(): string {
  const { HF_HOME, XDG_CACHE_HOME } = process.env;
  return HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface');
}

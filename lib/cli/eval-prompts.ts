import { posix } from 'node:path';
import type { BuildRequestsOptions } from '../evaluation';
import { GitFiles } from '../hub/git-files';
import { settingsOf } from './eval-data';
import type { HubFlags } from './options';

/** Flags that say where the harness's task files are. */
export interface PromptFlags extends HubFlags {
  readonly prompts?: string;
  readonly download?: boolean;
}

const harness = 'EleutherAI/lm-evaluation-harness';

/** Commits of the harness: v0.4.9.2, and v0.4.8, the last release that has version 3 of BBH. */
const [newest, ofVersion3] = [
  'ad3f4d0cad1cfcdb815f1e795f7947e49ed9f2e9',
  '6d2abda4fd171e68a8789330c4149e37c1ca0bda',
];

/** The task files of a folder, or the harness's own, fetched when they are asked for. */
export function promptsOf(flags: PromptFlags, signal: AbortSignal): BuildRequestsOptions['prompts'] {
  if (flags.prompts !== undefined || !flags.download) return flags.prompts;
  const settings = settingsOf(flags);
  return async (path, version) => {
    const commit = version === 3 && path.startsWith('bbh/') ? ofVersion3 : newest;
    return new GitFiles(harness, commit, await settings(), signal).text(posix.join('lm_eval/tasks', path));
  };
}

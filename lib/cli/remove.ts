import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { type CachedModel, cachedModels, RND1Error, removeCachedModel } from '../index';
import { formatBytes } from '../support/format-bytes';
import { printableName } from '../support/printable';
import { nearest } from '../support/validate';
import { UsageError } from './input';
import { addCacheOption, type CacheFlags } from './options';

interface RemoveFlags extends CacheFlags {
  readonly yes?: boolean;
}

const manual = `
Deletes models from the cache, with all their revisions and unfinished
downloads; \`rnd1 list\` shows the names. Nothing is deleted if one of the names
is not there. Other Hugging Face libraries use the same cache: what is deleted
is gone for them, too. A model that is being downloaded is not deleted.

In a terminal it asks first; elsewhere --yes is needed.

Exit codes: 0 done, 1 failure, or not confirmed, 2 wrong usage.

Examples:
  $ rnd1 remove inclusionAI/LLaDA-MoE-7B-A1B-Instruct --yes`;

/** `rnd1 remove` */
export function addRemove(program: Command): void {
  const command = program
    .command('remove')
    .summary('delete models from the cache')
    .description('Deletes models from the cache.')
    .argument('<name...>', 'names of models: owner/name')
    .option('-y, --yes', 'do not ask');
  addCacheOption(command).addHelpText('after', manual).action(remove);
}

async function remove(names: readonly string[], { cacheDir, yes }: RemoveFlags): Promise<void> {
  const cached = await cachedModels({ cacheDir });
  const models = [...new Set(names)].map((name) => find(name, cached));
  if (!yes) {
    if (!process.stdin.isTTY) throw new UsageError('remove needs --yes where it cannot ask');
    const all = models.map(({ name, bytes }) => `${printableName(name)} (${formatBytes(bytes)})`);
    if (!(await confirmed(`Delete ${all.join(', ')}? [y/N] `))) {
      throw new Error('nothing was deleted');
    }
  }
  for (const { name } of models) {
    const bytes = await removeCachedModel(name, { cacheDir });
    process.stdout.write(`removed ${printableName(name)}, ${formatBytes(bytes)}\n`);
  }
}

function find(name: string, cached: readonly CachedModel[]): CachedModel {
  const model = cached.find((each) => each.name === name);
  if (model !== undefined) return model;
  const meant = nearest(
    name,
    cached.map((each) => each.name),
  );
  const hint = meant === null ? '`rnd1 list` shows what is' : `did you mean ${meant}?`;
  throw new RND1Error('not_found', `'${name}' is not in the cache: ${hint}`);
}

async function confirmed(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const controller = new AbortController();
  // Ctrl-C and Ctrl-D are no, too.
  lines.once('close', () => controller.abort());
  try {
    return /^y(es)?$/i.test((await lines.question(question, { signal: controller.signal })).trim());
  } catch {
    process.stderr.write('\n');
    return false;
  } finally {
    lines.close();
  }
}

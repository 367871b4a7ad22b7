import { totalmem } from 'node:os';
import type { Command } from 'commander';
import { familyTitle } from '../families';
import { type CachedModel, type CachedSnapshot, cachedModels, inspectCheckpoint } from '../index';
import { RND1Error } from '../support/errors';
import { formatBytes } from '../support/format-bytes';
import { printableJson, printableName } from '../support/printable';
import { addCacheOption, type CacheFlags } from './options';
import { Waiting } from './progress';
import { table } from './report';

interface ListFlags extends CacheFlags {
  readonly json?: boolean;
}

const manual = `
Lists the models in the cache that all Hugging Face libraries share, whichever
of them fetched them, with the bytes that they take on disk. A model fits if
its weights take at most the memory that is free now. Larger ones up to the
whole memory would fit if other programs ended. Beyond that, weights are read
from disk in every step: see \`rnd1 quantize\`.

Printed output:
  A line for each model: name, family, type of the weights, bytes on disk, and
  whether it fits.
  --json prints {"memory": {free, total}, "models": [{name, folder,
  bytes, partialBytes, family, weights, weightBytes, fits, problem,
  snapshots}]}: fits is "yes", "if freed" or "no", and null for models that
  cannot be loaded; problem says why.

Exit codes: 0 done, 1 failure, 2 wrong usage.

Examples:
  $ rnd1 list
  $ rnd1 list --json`;

/** `rnd1 list` */
export function addList(program: Command): void {
  const command = program
    .command('list')
    .summary('list the models in the cache')
    .description('Lists the models in the cache, with their sizes, and whether they fit into memory.');
  addCacheOption(command)
    .optionsGroup('Output:')
    .option('--json', 'one JSON object')
    .addHelpText('after', manual)
    .action(list);
}

/** Whether weights fit into memory: now, if other programs ended, or not at all. */
type Fit = 'yes' | 'if freed' | 'no';

/** What `rnd1 list` says about a model. */
interface Entry extends CachedModel {
  readonly family: string | null;
  /** Type of most weights. */
  readonly weights: string | null;
  readonly weightBytes: number | null;
  readonly fits: Fit | null;
  /** Why it cannot be loaded; null if it can. */
  readonly problem: string | null;
}

/** Bytes of memory. */
interface Memory {
  readonly free: number;
  readonly total: number;
}

async function list({ cacheDir, json }: ListFlags): Promise<void> {
  const waiting = new Waiting(process.stderr);
  waiting.begin('reading the cache');
  const memory: Memory = { free: process.availableMemory(), total: totalmem() };
  const entries: Entry[] = [];
  try {
    for (const model of await cachedModels({ cacheDir })) entries.push(await describe(model, memory));
  } finally {
    waiting.close();
  }
  if (json) {
    process.stdout.write(`${printableJson(JSON.stringify({ memory, models: entries }, null, 2))}\n`);
    return;
  }
  const rows = entries.map((entry) => [
    printableName(entry.name),
    entry.family === null ? '–' : familyTitle(entry.family),
    entry.weights ?? '–',
    formatBytes(entry.bytes),
    stateOf(entry),
  ]);
  const header = ['model', 'family', 'weights', 'on disk', 'fits'];
  const lines = rows.length === 0 ? ['no models in the cache'] : table([header, ...rows], [3], '  ');
  const room = `${formatBytes(memory.free)} of ${formatBytes(memory.total)} of memory are free`;
  process.stdout.write(`${[...lines, '', room].join('\n')}\n`);
}

/** The snapshot that `main` names, else any that is complete. */
function snapshotOf({ snapshots }: CachedModel): CachedSnapshot | undefined {
  const complete = snapshots.filter((each) => each.complete);
  return complete.find(({ revisions }) => revisions.includes('main')) ?? complete.at(-1);
}

async function describe(model: CachedModel, memory: Memory): Promise<Entry> {
  const unknown = { ...model, family: null, weights: null, weightBytes: null, fits: null };
  const snapshot = snapshotOf(model);
  if (snapshot === undefined) return { ...unknown, problem: model.problem ?? 'incomplete' };
  try {
    const { config, weights, bytes } = await inspectCheckpoint(snapshot.folder);
    const fits = fitOf(bytes, memory);
    return { ...model, family: config.family, weights, weightBytes: bytes, fits, problem: null };
  } catch (error) {
    if (!(error instanceof RND1Error)) throw error;
    return { ...unknown, problem: error.message };
  }
}

const fitOf = (bytes: number, { free, total }: Memory): Fit =>
  bytes <= free ? 'yes' : bytes <= total ? 'if freed' : 'no';

function stateOf({ fits, problem, partialBytes }: Entry): string {
  if (fits === 'if freed') return 'if memory is freed';
  if (fits !== null) return fits;
  if (problem !== 'incomplete') return 'cannot be loaded';
  const rest = partialBytes > 0 ? `, ${formatBytes(partialBytes)} of it unfinished` : '';
  return `incomplete${rest}`;
}

import type { Command } from 'commander';
import { LineQueue } from '../batch/queue/line-queue';
import { integer } from './input';
import { excludes, requires } from './options';

/** Flags of commands that let workers answer. */
export interface QueueFlags {
  readonly queue?: string;
  readonly queueName?: string;
  readonly chunk?: number;
}

/** Where batches, evaluations and workers meet. */
export const queueOption = ['--queue <url>', 'redis://host:6379, of Redis or Valkey'] as const;
export const defaultQueue = 'rnd1';
export const queueNameOption = [
  '--queue-name <name>',
  `name of the queue (default: ${defaultQueue})`,
] as const;

/** How many lines or documents wait for workers at the same time, unless another number is given. */
export const waitingForWorkers = 1024;

const defaultChunk = 16;

/** Flags that say with which model and how it is loaded: the workers' with --queue. */
export const loadingFlags = ['model', 'device', 'dtype', 'threads', 'mmap', 'maxCacheBytes', 'revision'];

/** `--queue --queue-name --chunk`; `what` travels in chunks. */
export function addQueueOptions(command: Command, what: string): void {
  command
    .optionsGroup('Workers:')
    .option(...queueOption)
    .option(...queueNameOption)
    .option(
      '--chunk <count>',
      `${what} that one worker answers at the same time (default: ${defaultChunk})`,
      integer(1),
    );
}

/** Rejects flags of a queue without one, and with one those of what answers. @throws UsageError */
export function checkQueueFlags(flags: QueueFlags, workersFlags: readonly string[]): void {
  if (flags.queue === undefined) requires(flags, '--queue', ['queueName', 'chunk']);
  else excludes(flags, '--queue', workersFlags);
}

/** Opens the queue of the flags. @throws as `LineQueue.open` */
export const openQueue = (
  url: string,
  { queueName: name = defaultQueue, chunk = defaultChunk }: QueueFlags,
) => LineQueue.open({ url, name, chunk });

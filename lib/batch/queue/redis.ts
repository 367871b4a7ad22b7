import type * as BullMQ from 'bullmq';
import type { Redis } from 'ioredis';
import { RND1Error } from '../../support/errors';
import { quote } from '../../support/validate';

/** Where the lines of batches wait for workers. */
export interface QueuePlace {
  /** `redis://` or `rediss://` */
  readonly url: string;
  /** Name of the queue: batches and workers meet in it. */
  readonly name: string;
}

/** A connection to a server of Redis or Valkey, and the library on top of it. */
export interface QueueConnection {
  readonly library: typeof BullMQ;
  readonly redis: Redis;
}

/** Milliseconds to wait for a server before the first answer. */
const connectTimeout = 10_000;

/**
 * Connects to the server, once and with a check: later failures are waited out.
 *
 * @throws RND1Error `not_found` without the packages bullmq and ioredis, `io` for a server that cannot be reached or that
 *   would forget lines when it is short of memory; RangeError for a wrong url or name
 */
export async function connectQueue({ url, name }: QueuePlace): Promise<QueueConnection> {
  if (!/^rediss?:\/\/./.test(url) || !URL.canParse(url))
    throw new RangeError(`the queue must be a URL as redis://host:6379, not ${quote(withoutPassword(url))}`);
  if (!/^[\w.-]{1,100}$/.test(name))
    throw new RangeError(
      `the name of the queue must be letters, digits, '_', '.' and '-', not ${quote(name)}`,
    );
  const [library, { Redis }] = packages();
  const redis = new Redis(url, { maxRetriesPerRequest: null, lazyConnect: true, connectTimeout });
  // Lost connections are made again; the first one is waited for here.
  redis.on('error', () => {});
  try {
    await within(redis.connect(), connectTimeout);
    await refuseForgetful(redis);
  } catch (error) {
    redis.disconnect();
    if (error instanceof RND1Error) throw error;
    throw new RND1Error('io', `cannot reach ${withoutPassword(url)}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return { library, redis };
}

/** The URL without its password. */
export function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}

/** A server that evicts keys under pressure would lose lines without anybody noticing. */
async function refuseForgetful(redis: Redis): Promise<void> {
  const memory = await redis.info('memory');
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1];
  const limit = Number(/^maxmemory:(\d+)/m.exec(memory)?.[1] ?? 0);
  if (policy === undefined || policy === 'noeviction' || limit === 0) return;
  throw new RND1Error(
    'io',
    `the server of the queue may forget lines when it is short of memory: its maxmemory-policy is ${policy}, and must be noeviction`,
  );
}

async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it does not answer')), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Optional packages, loaded when they are needed. */
function packages(): [typeof BullMQ, typeof import('ioredis')] {
  try {
    return [require('bullmq') as typeof BullMQ, require('ioredis') as typeof import('ioredis')];
  } catch (error) {
    throw new RND1Error(
      'not_found',
      'queues need the packages bullmq and ioredis, which are not installed: npm install bullmq ioredis',
      { cause: error },
    );
  }
}

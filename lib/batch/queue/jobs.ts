import { createHash } from 'node:crypto';
import type { Outcome } from '../outcome';
import type { BatchRequest } from '../request';

/** A line as it travels to a worker. */
export interface QueuedLine {
  readonly line: number;
  readonly customId: string;
  readonly url: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly id: string;
}

/** Lines that one worker answers at the same time: their canvases share steps. */
export interface QueuedChunk {
  readonly lines: readonly QueuedLine[];
}

/** What became of the lines of a chunk, in their order. */
export type ChunkOutcomes = readonly Outcome[];

export const queuedLine = ({ line, customId, url, body, id }: BatchRequest): QueuedLine => ({
  line,
  customId,
  url,
  body,
  id,
});

/** The line as it was read from its file. */
export const requestOf = ({ customId, ...line }: QueuedLine): BatchRequest => ({
  ...line,
  customId,
  key: createHash('sha256').update(JSON.stringify(customId)).digest(),
});

/** The same lines have the same id in every run: what was answered for one that was killed is found again. */
export const chunkId = ({ lines }: QueuedChunk): string =>
  createHash('sha256')
    .update(lines.map(({ id, customId }) => `${id} ${JSON.stringify(customId)}`).join('\n'))
    .digest('hex')
    .slice(0, 40);

/** Seconds after which results that nobody has fetched are removed. */
export const keepSeconds = 7 * 24 * 3600;

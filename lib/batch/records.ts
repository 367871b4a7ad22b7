import type { BatchUrl } from './request';

/** A file that was uploaded, or that a batch has written. Times are seconds since 1970. */
export interface FileRecord {
  readonly id: string;
  /** Whose it is: a hash of the API key, or '' without keys. */
  readonly owner: string;
  /** Place in lists: a time in milliseconds, unique. */
  readonly order: number;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** As the client calls it. */
  readonly filename: string;
  readonly purpose: 'batch' | 'batch_output';
  readonly bytes: number;
}

/** States of a batch, as in OpenAI's API. */
export type BatchStatus =
  | 'validating'
  | 'failed'
  | 'in_progress'
  | 'finalizing'
  | 'completed'
  | 'expired'
  | 'cancelling'
  | 'cancelled';

/** States in which nothing more happens. */
export const finalStates: ReadonlySet<BatchStatus> = new Set(['failed', 'completed', 'expired', 'cancelled']);

/** What is wrong with a batch, or with a line of its input. */
export interface BatchError {
  readonly code: string;
  readonly message: string;
  readonly line: number | null;
  readonly param: string | null;
}

export interface RequestCounts {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
}

/** A batch. Times are seconds since 1970. */
export interface BatchRecord {
  readonly id: string;
  /** As in `FileRecord`. */
  readonly owner: string;
  /** As in `FileRecord`. */
  readonly order: number;
  readonly endpoint: BatchUrl;
  readonly inputFile: string;
  readonly outputFile: string | null;
  readonly errorFile: string | null;
  readonly status: BatchStatus;
  readonly errors: readonly BatchError[];
  readonly counts: RequestCounts;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly createdAt: number;
  /** When it ends, whether or not it is complete. */
  readonly expiresAt: number;
  /** Seconds for which its output is kept; null: as long as all files. */
  readonly keepOutput: number | null;
  /** When it entered each of its states. */
  readonly times: Readonly<Partial<Record<BatchStatus, number>>>;
}

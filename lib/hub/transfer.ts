import { RND1Error } from '../support/errors';
import { type Subject, Transient } from './failure';
import { PartialFile } from './partial-file';
import type { RemoteFile } from './remote';
import { webPath } from './repository';
import { chunksOf, Retries, request, Watch } from './request';

/** One file of one commit, and where its content goes. */
export interface TransferJob {
  readonly file: RemoteFile;
  readonly commit: string;
  /** The path of its blob. */
  readonly blob: string;
  readonly subject: Subject;
  readonly signal: AbortSignal;
  /** Gets the bytes received so far, which decrease if wrong ones are discarded. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * Downloads a file to its blob, resuming an earlier download. Bytes are written to disk as they arrive; the blob gets
 * its name when size and hash are right. If it is interrupted, the next download resumes.
 */
export async function transfer(job: TransferJob): Promise<void> {
  const { file, blob, signal, onBytes } = job;
  const partial = await PartialFile.claim(blob, file, signal, onBytes);
  if (partial === null) return;
  let finished = false;
  try {
    await receiveAll(job, partial);
    await partial.finish();
    finished = true;
  } finally {
    if (!finished) await partial.release();
  }
}

async function receiveAll(job: TransferJob, partial: PartialFile): Promise<void> {
  const { file, subject, signal } = job;
  const retries = new Retries(subject, signal);
  let tries = 0;
  for (;;) {
    if (partial.size > 0) job.onBytes(partial.size);
    await receive(job, partial, retries);
    const hash = partial.hash();
    if (hash === file.hash) return;
    await partial.restart();
    // The wrong bytes may be from an earlier download: try once more from the start.
    if (++tries > 1) throw wrongContent(job, `has the hash ${hash}, expected ${file.hash}`);
  }
}

/** Sends requests until the file is complete. */
async function receive(job: TransferJob, partial: PartialFile, retries: Retries): Promise<void> {
  while (partial.size < job.file.bytes) {
    const watch = new Watch(job.subject.settings, job.signal);
    try {
      await receiveOnce(job, partial, watch, retries);
    } catch (error) {
      watch.close();
      await retries.pauseAfter(error);
    } finally {
      watch.close();
    }
  }
}

async function receiveOnce(
  job: TransferJob,
  partial: PartialFile,
  watch: Watch,
  retries: Retries,
): Promise<void> {
  const { file, subject, onBytes } = job;
  const start = partial.size;
  const range = start > 0 ? { range: `bytes=${start}-` } : undefined;
  // Compression would change the meaning of sizes and ranges.
  const headers = { 'accept-encoding': 'identity', ...range };
  const response = await request(urlOf(job), headers, { subject, watch, accept: [416] });
  const total = announcedSize(response);
  if (total !== null && total !== file.bytes) {
    throw wrongContent(job, `has ${total} bytes, expected ${file.bytes}`);
  }
  if (response.status === 416) {
    await partial.restart();
    throw new Transient(`status 416: no bytes from ${start} on`, null);
  }
  if (response.status === 206 && rangeStart(response) !== start) {
    throw new Transient(
      `asked for bytes from ${start} on, got ${response.headers.get('content-range')}`,
      null,
    );
  }
  // A server without ranges sends the whole file.
  if (response.status !== 206 && start > 0) await partial.restart();
  for await (const chunk of chunksOf(response, watch)) {
    if (partial.size + chunk.length > file.bytes) {
      await partial.restart();
      throw wrongContent(job, `has more than ${file.bytes} bytes`);
    }
    // Backpressure: no more is read from the network meanwhile.
    await partial.append(chunk);
    retries.reached(partial.size);
    onBytes(partial.size);
  }
  if (partial.size < file.bytes) {
    throw new Transient(`the connection ended after ${partial.size} of ${file.bytes} bytes`, null);
  }
}

function urlOf({ file, commit, subject }: TransferJob): string {
  const path = file.path.split('/').map(encodeURIComponent).join('/');
  return `${subject.settings.endpoint}/${webPath(subject.repo, subject.kind)}/resolve/${commit}/${path}`;
}

/** Size of the whole file according to the headers; null if not given. */
function announcedSize({ status, headers }: Response): number | null {
  const text =
    status === 200 ? headers.get('content-length') : /\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1];
  return text ? Number(text) : null;
}

function rangeStart({ headers }: Response): number {
  return Number(/^bytes (\d+)-/.exec(headers.get('content-range') ?? '')?.[1] ?? Number.NaN);
}

function wrongContent({ file, subject }: TransferJob, what: string): RND1Error {
  const { repo, settings } = subject;
  return new RND1Error('network', `${file.path} of ${repo} from ${settings.endpoint} ${what}`);
}

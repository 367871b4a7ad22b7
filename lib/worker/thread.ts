import { parentPort, workerData } from 'node:worker_threads';

/** An error in the form in which a thread sends it: structured cloning would lose `code`. */
export interface ToldError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly param?: string | null;
}

/** Messages of a thread: once `ready` or an error, then a reply or an error for every request, in order. */
export type ThreadMessage =
  | { readonly ready: unknown }
  | { readonly reply: unknown }
  | { readonly error: ToldError };

/** A thread that is ready: the data it reports, and the function that answers requests. */
export interface Prepared {
  readonly ready: unknown;
  answer(request: never): unknown;
}

/** The other side of `Lane`: prepares with the lane's data, then answers one request after another. */
export function serveThread(prepare: (data: never) => Promise<Prepared>): void {
  const port = parentPort;
  if (port === null) throw new Error('this module runs in a worker thread');
  // Libraries print warnings that quote untrusted files; they must not reach the terminal.
  process.stdout.write = process.stderr.write = () => true;
  const send = (message: ThreadMessage) => port.postMessage(message);
  prepare(workerData as never).then(
    ({ ready, answer }) => {
      port.on('message', (request: unknown) => {
        try {
          send({ reply: answer(request as never) });
        } catch (error) {
          send({ error: told(error) });
        }
      });
      send({ ready });
    },
    (error: unknown) => send({ error: told(error) }),
  );
}

function told(error: unknown): ToldError {
  if (typeof error !== 'object' || error === null) return { name: 'Error', message: String(error) };
  const { name, message, code, param } = error as ToldError;
  return { name, message, code, param };
}

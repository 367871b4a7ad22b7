import { types } from 'node:util';
import { RND1Error } from '../support/errors';
import { hubLibrary } from './library';
import { type Repository, type RepositoryKind, webPath } from './repository';
import type { HubSettings } from './settings';

/** The repository and file of a request, for error messages. */
export interface Subject {
  /** @default 'model' */
  readonly kind?: RepositoryKind;
  readonly repo: Repository;
  readonly settings: HubSettings;
  /** A file of the repository; undefined for requests to the hub's API. */
  readonly file?: string;
}

/** A failure that a retry may overcome. */
export class Transient extends Error {
  /** `wait`: milliseconds that the server asks to wait, or null. */
  constructor(
    message: string,
    readonly wait: number | null,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** Bytes and milliseconds for reading an error page. */
const errorBytes = 4096;
const errorTime = 2_000;
/** Characters quoted of it. */
const errorLength = 300;

const tokenHint = 'give one as `token`, in HF_TOKEN or by `hf auth login`';

/** `org/name at main` */
export const nameOf = ({ repo, settings }: Subject) => `${repo} at ${settings.revision}`;

/** The innermost reason of a failure, without the errors that fetch wraps around it. */
export function reasonOf(error: unknown): string {
  // Errors of fetch may come from another realm than this module.
  if (!types.isNativeError(error)) return String(error);
  if (types.isNativeError(error.cause)) return reasonOf(error.cause);
  // If several addresses were tried, each has an error.
  const [first] = (error as { errors?: unknown[] }).errors ?? [];
  return first === undefined ? error.message : reasonOf(first);
}

/** The error to throw for an unsuccessful response. */
export async function failureOf(response: Response, subject: Subject): Promise<RND1Error | Transient> {
  const { status, headers } = response;
  const body = await errorText(response);
  const said = headers.get('x-error-message')?.slice(0, errorLength) ?? body;
  const { HubApiError } = hubLibrary();
  const requestId = headers.get('x-request-id')?.slice(0, 100);
  const { origin, pathname } = new URL(response.url);
  const text = `status ${status}${said && `: ${said}`}`;
  const cause = new HubApiError(`${origin}${pathname}`, status, requestId, text);
  // A link that the hub redirected to may have expired: a retry gets a new one from the hub.
  const elsewhere = origin !== new URL(subject.settings.endpoint).origin;
  if (status === 408 || status === 429 || status >= 500 || elsewhere) {
    const seconds = Number(headers.get('retry-after') ?? Number.NaN);
    const wait = seconds >= 0 ? seconds * 1000 : null;
    return new Transient(`${origin} answers ${status}${said && `: ${said}`}`, wait, { cause });
  }
  const { code, message } = explain(status, headers.get('x-error-code'), said, subject);
  return new RND1Error(code, message, { cause });
}

function explain(status: number, errorCode: string | null, said: string, subject: Subject) {
  const { kind, repo, file, settings } = subject;
  const { endpoint, token, revision } = settings;
  const page = `${endpoint}/${webPath(repo, kind)}`;
  const name = nameOf(subject);
  if (errorCode === 'GatedRepo' || (status === 403 && errorCode !== 'DisabledRepo')) {
    const ask = `ask for access at ${page}`;
    const how =
      token === null ? `and send a token: ${tokenHint}` : 'with the account of the token that is sent';
    return {
      code: 'access_denied',
      message: `${name} is not open to everyone (${status}): ${ask} ${how}`,
    } as const;
  }
  if (errorCode === 'RevisionNotFound') {
    return { code: 'not_found', message: `${repo} has no revision ${revision} at ${page}` } as const;
  }
  if (status === 404 && (errorCode === 'EntryNotFound' || (file !== undefined && errorCode === null))) {
    return { code: 'not_found', message: `${name} has no file ${file ?? ''}` } as const;
  }
  if (status === 404 || errorCode === 'RepoNotFound' || (status === 401 && token === null)) {
    // The hub does not tell strangers whether a private model exists.
    const hidden = token === null ? `, or it needs a token: ${tokenHint}` : ', or the token may not see it';
    const code = status === 401 && errorCode !== 'RepoNotFound' ? 'access_denied' : 'not_found';
    return { code, message: `there is no ${name} on ${endpoint} (${status})${hidden}` } as const;
  }
  if (status === 401) {
    return { code: 'access_denied', message: `${endpoint} refuses the token for ${name} (401)` } as const;
  }
  return {
    code: 'network',
    message: `${name}: ${endpoint} answers ${status}${said && `: ${said}`}`,
  } as const;
}

/** The error text in a body if it is short, else ''. Reads the body to its end or cancels it. */
async function errorText(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const giveUp = () => reader?.cancel().catch(() => {});
  const timer = setTimeout(giveUp, errorTime);
  try {
    const type = response.headers.get('content-type') ?? '';
    if (reader === undefined || !/json|plain/.test(type)) return '';
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      bytes += next.value.length;
      if (bytes > errorBytes) return '';
      chunks.push(next.value);
    }
    const text = Buffer.concat(chunks).toString().trim();
    const said = type.includes('json') ? (JSON.parse(text) as { error?: unknown } | null)?.error : text;
    return typeof said === 'string' && said.length < errorLength ? said : '';
  } catch {
    return '';
  } finally {
    clearTimeout(timer);
    await giveUp();
  }
}

/** Turns a file system error into `io`. */
export function asIoError(error: unknown, folder: string): unknown {
  if (error instanceof RND1Error || (error as { syscall?: unknown } | null)?.syscall === undefined)
    return error;
  return new RND1Error('io', `cannot write the cache in ${folder}: ${(error as Error).message}`, {
    cause: error,
  });
}

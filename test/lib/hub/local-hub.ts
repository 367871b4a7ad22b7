import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A fault of one answer. */
export interface Fault {
  /** Answers with this status instead. */
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** Ends the connection after so many bytes of the body. */
  readonly cutAfter?: number;
  /** Sends nothing after so many bytes of the body, and leaves the connection open. */
  readonly stallAfter?: number;
  /** Sends these bytes of a file instead. */
  readonly content?: Buffer;
  /** Answers with this instead. */
  readonly json?: unknown;
  /** Sends the whole file, whatever was asked for. */
  readonly ignoreRange?: boolean;
  /** Does not say how long the body is. */
  readonly chunked?: boolean;
  /** Sends a body in pieces of so many bytes, with a pause after each. */
  readonly slowly?: number;
  /** Sends to this address instead. */
  readonly location?: string;
}

export interface Recorded {
  readonly server: 'hub' | 'cdn';
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly userAgent: string | undefined;
}

interface Model {
  readonly commit: string;
  readonly files: Map<string, Buffer>;
  readonly access: 'public' | 'gated' | 'private';
}

const hashOf = (algorithm: string, ...parts: (string | Buffer)[]) => {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/** The hash of a file in git. */
export const gitHash = (content: Buffer) => hashOf('sha1', `blob ${content.length}\0`, content);
export const sha256 = (content: Buffer) => hashOf('sha256', content);

/**
 * Two servers on this machine that answer as the Hugging Face hub and the storage behind it do: large files are at
 * another origin, to which the hub redirects.
 */
export class LocalHub {
  readonly requests: Recorded[] = [];
  /** Grants access to models that are not public. */
  readonly token = 'hf_of_the_tests';
  /** Called before each answer; undefined for a good one. */
  fault: (request: Recorded, attempt: number) => Fault | undefined = () => undefined;
  /** Entries of a page of a file list. */
  pageSize = 1000;
  /** Changes a file list before it is sent. */
  editList: (entries: Record<string, unknown>[]) => Record<string, unknown>[] = (entries) => entries;
  readonly #models = new Map<string, Model>();
  readonly #attempts = new Map<string, number>();
  readonly #hub: Server = createServer((request, response) => this.#answer('hub', request, response));
  readonly #cdn: Server = createServer((request, response) => this.#answer('cdn', request, response));

  static async start(): Promise<LocalHub> {
    const hub = new LocalHub();
    for (const server of [hub.#hub, hub.#cdn]) {
      await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
    }
    return hub;
  }

  /** For HF_ENDPOINT. */
  get url(): string {
    return urlOf(this.#hub);
  }

  get cdn(): string {
    return urlOf(this.#cdn);
  }

  /** Adds a model or a data set (`datasets/…`), or moves its branch to another commit. Files of more than 4 kB are in large file storage. */
  add(name: string, files: Record<string, Buffer>, access: Model['access'] = 'public'): string {
    const entries = Object.entries(files);
    const commit = hashOf('sha1', ...entries.flatMap(([path, content]) => [path, gitHash(content)]));
    this.#models.set(name, { commit, files: new Map(entries), access });
    return commit;
  }

  /** Forgets requests and faults. */
  reset(): void {
    this.requests.length = 0;
    this.#attempts.clear();
    this.fault = () => undefined;
    this.editList = (entries) => entries;
    this.pageSize = 1000;
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  #answer(server: Recorded['server'], request: IncomingMessage, response: ServerResponse): void {
    const { authorization, range, 'user-agent': userAgent } = request.headers;
    const { method = '', url = '' } = request;
    const recorded: Recorded = { server, method, url, authorization, range, userAgent };
    this.requests.push(recorded);
    const key = `${server} ${url.split('?')[0]}`;
    const attempt = (this.#attempts.get(key) ?? 0) + 1;
    this.#attempts.set(key, attempt);
    const fault = this.fault(recorded, attempt) ?? {};
    void send(response, this.#reply(recorded, fault), fault);
  }

  #reply({ server, url, authorization, range }: Recorded, fault: Fault): Reply {
    if (fault.location !== undefined) return { status: 302, headers: { location: fault.location } };
    if (fault.status !== undefined) {
      return {
        status: fault.status,
        headers: { ...plain, ...fault.headers },
        body: Buffer.from('out of order'),
      };
    }
    if (fault.json !== undefined) {
      const reply = jsonReply(fault.json);
      return { ...reply, headers: { ...reply.headers, ...fault.headers } };
    }
    const { pathname, searchParams } = new URL(url, this.url);
    const [, name = '', kind, rest = ''] =
      /^(?:\/api\/models|\/api(?=\/datasets))?\/((?:datasets\/)?[^/]+\/[^/]+)\/(revision|tree|resolve)\/(.*)$/.exec(
        decodeURIComponent(pathname),
      ) ?? [];
    const model = this.#models.get(name);
    const known = authorization === `Bearer ${this.token}` || server === 'cdn';
    if (model === undefined || (model.access === 'private' && !known)) {
      return failure(authorization === undefined ? 401 : 404, 'RepoNotFound', 'Repository not found');
    }
    const [revision, ...parts] = kind === 'revision' ? [rest] : rest.split('/');
    if (revision !== model.commit && (kind !== 'revision' || revision !== 'main')) {
      return failure(404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
    }
    if (kind === 'revision') {
      return jsonReply({
        _id: 'id',
        id: name,
        sha: model.commit,
        private: false,
        lastModified: '2025-10-09',
      });
    }
    const file = parts.join('/');
    if (kind === 'tree') return this.#tree(model, file, searchParams, pathname);
    if (model.access === 'gated' && !known) {
      return failure(authorization === undefined ? 401 : 403, 'GatedRepo', 'Access is restricted');
    }
    const content = model.files.get(file);
    if (content === undefined) return failure(404, 'EntryNotFound', 'Entry not found');
    const hash = isLarge(content) ? sha256(content) : gitHash(content);
    const headers = { 'x-repo-commit': model.commit, etag: `"${hash}"` };
    if (!isLarge(content) || server === 'cdn') {
      return rangeReply(fault.content ?? content, headers, fault.ignoreRange ? undefined : range);
    }
    const linked = { 'x-linked-size': String(content.length), 'x-linked-etag': headers.etag };
    return { status: 302, headers: { ...headers, ...linked, location: `${this.cdn}${pathname}` } };
  }

  #tree(model: Model, folder: string, search: URLSearchParams, pathname: string): Reply {
    const entries = this.editList(
      [...model.files]
        .filter(([path]) => path.split('/').slice(0, -1).join('/') === folder)
        .map(([path, content]) => ({
          type: 'file',
          path,
          size: content.length,
          // For a large file, git has only a pointer.
          oid: gitHash(isLarge(content) ? Buffer.from(sha256(content)) : content),
          ...(isLarge(content)
            ? {
                lfs: { oid: sha256(content), size: content.length, pointerSize: 134 },
                xetHash: sha256(content),
              }
            : {}),
        })),
    );
    const start = Number(search.get('cursor') ?? 0);
    const end = start + this.pageSize;
    const next = `<${this.url}${pathname}?cursor=${end}>; rel="next"`;
    const reply = jsonReply(entries.slice(start, end));
    return end < entries.length ? { ...reply, headers: { ...reply.headers, link: next } } : reply;
  }
}

interface Reply {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body?: Buffer;
}

const plain = { 'content-type': 'text/plain' };
const json = { 'content-type': 'application/json; charset=utf-8' };
const isLarge = (content: Buffer) => content.length > 4096;
const urlOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const jsonReply = (value: unknown): Reply => ({
  status: 200,
  headers: json,
  body: Buffer.from(JSON.stringify(value)),
});

function failure(status: number, code: string, message: string): Reply {
  const reply = jsonReply({ error: message });
  return { ...reply, status, headers: { ...json, 'x-error-code': code, 'x-error-message': message } };
}

function rangeReply(content: Buffer, headers: Record<string, string>, range: string | undefined): Reply {
  if (range === undefined) return { status: 200, headers, body: content };
  const start = Number(/^bytes=(\d+)-$/.exec(range)?.[1]);
  if (start >= content.length)
    return { status: 416, headers: { 'content-range': `bytes */${content.length}` } };
  const contentRange = `bytes ${start}-${content.length - 1}/${content.length}`;
  return {
    status: 206,
    headers: { ...headers, 'content-range': contentRange },
    body: content.subarray(start),
  };
}

async function send(response: ServerResponse, { status, headers, body }: Reply, fault: Fault): Promise<void> {
  const length = body === undefined || fault.chunked ? {} : { 'content-length': body.length };
  response.writeHead(status, { ...headers, ...length });
  if (body === undefined || status >= 400) {
    response.end(body);
    return;
  }
  const end = fault.cutAfter ?? fault.stallAfter ?? body.length;
  const piece = fault.slowly ?? 64 * 1024;
  for (let at = 0; at < Math.min(end, body.length) && !response.destroyed; at += piece) {
    response.write(body.subarray(at, Math.min(at + piece, end)));
    if (fault.slowly !== undefined) await new Promise((done) => setTimeout(done, 5));
    else if (response.writableNeedDrain) await drained(response);
  }
  // The written bytes must arrive before the cut.
  if (fault.cutAfter !== undefined) setTimeout(() => response.destroy(), 20);
  else if (fault.stallAfter === undefined) response.end();
}

/** Waits for room in the buffer, or the end of the connection. */
async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

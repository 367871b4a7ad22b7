import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { FastifyServerOptions } from 'fastify';
import type { DiffusionLM } from '../diffusion-lm';
import { packageRoot } from '../support/package-root';
import {
  booleanOption,
  integerOption,
  numberOption,
  optionsObject,
  quote,
  stringOption,
} from '../support/validate';
import { allowedHost } from './hosts';

/** Options of `createServer`. */
export interface ServerOptions {
  /** Model name that requests use. @default the repository's name on the hub, or the folder's name */
  readonly modelName?: string;
  /** API keys, one of which is required as `Authorization: Bearer`. Empty: none is required. @default [] */
  readonly apiKeys?: readonly string[];
  /** Origins whose pages may call the API from a browser; `'*'` allows all. @default [] */
  readonly corsOrigins?: readonly string[];
  /**
   * Host names that requests may use in addition to `localhost` and the loopback addresses: without ports,
   * `'*.example.com'` for all subdomains, `'*'` for any name. Other names are refused if the server listens on a
   * loopback address or if this list is not empty. @default []
   */
  readonly allowedHosts?: readonly string[];
  /** Canvases that run at the same time; further ones wait. @default 64 */
  readonly maxRunning?: number;
  /** Canvases that may wait; further requests get 429. @default 256 */
  readonly maxQueued?: number;
  /**
   * Limit per client: canvases, running and waiting together, and as many requests; further requests get 429. A
   * client is an API key if there are several, else an IP address. @default half of `maxRunning` plus half of `maxQueued`
   */
  readonly maxPerClient?: number;
  /** Open connections; at the limit, idle ones are closed for new ones. @default 512 */
  readonly maxConnections?: number;
  /** Maximum size of a request body in bytes. @default 256 KiB */
  readonly maxBodyBytes?: number;
  /** Maximum length of a canvas in tokens, prompt included. @default the model's number of positions */
  readonly maxCanvasTokens?: number;
  /** Time limit of a request in seconds, waiting included; 0 disables it. @default 600 */
  readonly requestTimeout?: number;
  /**
   * Seconds that a client may take to send a request, and to read a response or one chunk of a stream; 0: 60 for a
   * request and no limit for a response. @default 60
   */
  readonly stallTimeout?: number;
  /** Seconds that `close` waits for running requests before it aborts them. @default 30 */
  readonly shutdownTimeout?: number;
  /** Seconds between keep-alive comments in a stream without events; 0 = none. @default 15 */
  readonly keepAlive?: number;
  /** `'auto'`: the checkpoint's chat template, or the task template if it has none. @default 'auto' */
  readonly chatTemplate?:
    | 'auto'
    | 'task'
    | {
        /** Jinja source, as in tokenizer_config.json. */
        readonly template: string;
      };
  /** Folder of static files served at `/`; false = none. @default the page included in this package */
  readonly page?: string | false;
  /** Folder for the files and batches of `/v1/files` and `/v1/batches`; null = neither exists. @default null */
  readonly batchFolder?: string | null;
  /** Maximum size of an uploaded file in bytes. @default 200 MB */
  readonly maxFileBytes?: number;
  /** Maximum size of all files in bytes; a client may have half of them if there are several keys. @default 10 GB */
  readonly maxFolderBytes?: number;
  /** Maximum number of requests of a batch. @default 50000 */
  readonly maxBatchLines?: number;
  /** Days after which files and finished batches are deleted. @default 30 */
  readonly keepDays?: number;
  /** Fastify's `logger` option: true, or options of pino; false = no logs. @default false */
  readonly logger?: FastifyServerOptions['logger'];
  /** Whether prompts and answers are logged. @default false */
  readonly logPrompts?: boolean;
}

/** `ServerOptions` with all defaults filled in. */
export interface ServerSettings extends Required<ServerOptions> {
  /** Canvases of one client that run at the same time. */
  readonly maxRunningPerClient: number;
}

const names: Readonly<Record<keyof ServerOptions, true>> = {
  modelName: true,
  apiKeys: true,
  corsOrigins: true,
  allowedHosts: true,
  maxRunning: true,
  maxQueued: true,
  maxPerClient: true,
  maxConnections: true,
  maxBodyBytes: true,
  maxCanvasTokens: true,
  requestTimeout: true,
  stallTimeout: true,
  shutdownTimeout: true,
  keepAlive: true,
  chatTemplate: true,
  page: true,
  batchFolder: true,
  maxFileBytes: true,
  maxFolderBytes: true,
  maxBatchLines: true,
  keepDays: true,
  logger: true,
  logPrompts: true,
};

/** Longest delay of a timer, in seconds. */
const longest = (2 ** 31 - 1) / 1000;

/** Validates options and fills in the defaults. Throws TypeError and RangeError that quote the wrong value. */
export function readServerOptions(given: ServerOptions | undefined, model: DiffusionLM): ServerSettings {
  const options = optionsObject('options', given, names);
  const seconds = (name: keyof ServerOptions, fallback: number) =>
    numberOption(name, options[name] ?? fallback, 0, longest);
  const maxRunning = integerOption('maxRunning', options.maxRunning ?? 64, 1);
  const maxQueued = integerOption('maxQueued', options.maxQueued ?? 256, 0);
  // Half of the places, so that a second client finds room.
  const half = Math.ceil(maxRunning / 2);
  const fallback = half + Math.ceil(maxQueued / 2);
  const maxPerClient = integerOption('maxPerClient', options.maxPerClient ?? fallback, 1);
  return {
    modelName: nonEmpty('modelName', options.modelName ?? nameOf(model.info.folder)),
    apiKeys: keyList(options.apiKeys),
    corsOrigins: list('corsOrigins', options.corsOrigins),
    allowedHosts: hostList(options.allowedHosts),
    maxRunning,
    maxQueued,
    maxPerClient,
    maxRunningPerClient: options.maxPerClient === undefined ? half : Math.min(maxPerClient, maxRunning),
    maxConnections: integerOption('maxConnections', options.maxConnections ?? 512, 1),
    maxBodyBytes: integerOption('maxBodyBytes', options.maxBodyBytes ?? 2 ** 18, 1),
    maxCanvasTokens: integerOption(
      'maxCanvasTokens',
      options.maxCanvasTokens ?? model.config.architecture.maxPositions,
      1,
    ),
    requestTimeout: seconds('requestTimeout', 600),
    stallTimeout: seconds('stallTimeout', 60),
    shutdownTimeout: seconds('shutdownTimeout', 30),
    keepAlive: seconds('keepAlive', 15),
    chatTemplate: chatTemplateOption(options.chatTemplate ?? 'auto'),
    page: options.page === undefined ? ownPage() : options.page && stringOption('page', options.page),
    batchFolder: (options.batchFolder ?? null) === null ? null : nonEmpty('batchFolder', options.batchFolder),
    maxFileBytes: integerOption('maxFileBytes', options.maxFileBytes ?? 200_000_000, 1),
    maxFolderBytes: integerOption('maxFolderBytes', options.maxFolderBytes ?? 10_000_000_000, 1),
    maxBatchLines: integerOption('maxBatchLines', options.maxBatchLines ?? 50_000, 1),
    keepDays: numberOption('keepDays', options.keepDays ?? 30, 1 / 24, 36_500),
    logger: options.logger ?? false,
    logPrompts: booleanOption('logPrompts', options.logPrompts, false),
  };
}

/** The hub's cache stores a model under `models--OWNER--NAME/snapshots/REVISION`. */
function nameOf(folder: string): string {
  const [, owner, name] = /models--([^/\\]+)--([^/\\]+)[/\\]snapshots[/\\][^/\\]+[/\\]?$/.exec(folder) ?? [];
  return owner === undefined ? basename(folder, '.gguf') : `${owner}/${name}`;
}

/** Folder of the page included in this package. */
function ownPage(): string | false {
  if (packageRoot.folder === null) return false;
  const places = packageRoot.bundled ? [] : [join(__dirname, 'page')];
  places.push(join(packageRoot.folder, 'dist', 'server', 'page'));
  return places.find((folder) => existsSync(folder)) ?? false;
}

function nonEmpty(name: string, value: unknown): string {
  const text = stringOption(name, value);
  if (text === '') throw new RangeError(`${name} must not be empty`);
  return text;
}

function list(name: string, value: readonly string[] = []): readonly string[] {
  if (!Array.isArray(value)) throw new TypeError(`${name} must be a list of strings, not ${quote(value)}`);
  return value.map((text, i) => nonEmpty(`${name}[${i}]`, text));
}

function hostList(value: ServerOptions['allowedHosts']): readonly string[] {
  return list('allowedHosts', value).map((text, i) => {
    const name = allowedHost(text);
    if (name !== null) return name;
    throw new RangeError(
      `allowedHosts[${i}] must be a name or an address without a port, '*.NAME' or '*', not ${quote(text)}`,
    );
  });
}

/** Checks that keys can be sent in a header. The errors do not quote them: they are secrets. */
function keyList(value: ServerOptions['apiKeys']): readonly string[] {
  return list('apiKeys', value).map((key, i) => {
    if (/^[\x21-\x7e]+$/.test(key)) return key;
    throw new RangeError(`apiKeys[${i}] must consist of ASCII letters, digits and signs, without spaces`);
  });
}

function chatTemplateOption(value: NonNullable<ServerOptions['chatTemplate']>) {
  if (value === 'auto' || value === 'task') return value;
  if (typeof value === 'object' && value !== null && typeof value.template === 'string') return value;
  throw new TypeError(`chatTemplate must be 'auto', 'task' or { template }, not ${quote(value)}`);
}

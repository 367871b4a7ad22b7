import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { FastifyServerOptions } from 'fastify';
import type { RND1 } from '../model';
import { packageRoot } from '../package-root';
import { booleanOption, integerOption, numberOption, optionsObject, quote, stringOption } from '../validate';
import { allowedHost } from './hosts';

/** Options of `createServer`. */
export interface ServerOptions {
  /** What clients call the model. @default its name on the hub, or that of its folder */
  readonly modelName?: string;
  /** Requests must bear one of these keys. Empty: everyone who reaches the port may ask. @default [] */
  readonly apiKeys?: readonly string[];
  /** Origins whose pages may call the API from a browser; `'*'` is all of them. @default [] */
  readonly corsOrigins?: readonly string[];
  /**
   * Names, besides `localhost` and the loopback addresses, by which requests may ask for this server: without ports,
   * `'*.example.com'` for all below one, `'*'` for any. A server that listens at a loopback address takes no others,
   * and so does one elsewhere that is given some. @default []
   */
  readonly allowedHosts?: readonly string[];
  /** Canvases that are worked on at the same time; further ones wait. @default 64 */
  readonly maxRunning?: number;
  /** Canvases that may wait; requests beyond get 429. @default 256 */
  readonly maxQueued?: number;
  /**
   * Canvases that one client may have, worked on and waiting together, and as many requests; what is beyond gets 429. A
   * client is an API key where there are several, else an address. @default half of `maxRunning` and half of `maxQueued`
   */
  readonly maxPerClient?: number;
  /** Open connections; where there are more, idle ones are closed for new ones. @default 512 */
  readonly maxConnections?: number;
  /** Bytes of a request's body. @default 256 KiB */
  readonly maxBodyBytes?: number;
  /** Tokens of a canvas, prompt included. @default what the model attends to */
  readonly maxCanvasTokens?: number;
  /** Seconds that a request may take, waiting included; 0 = any. @default 600 */
  readonly requestTimeout?: number;
  /**
   * Seconds that a client may take to send a request, and to read an answer or a piece of a stream; 0 = 60 for a
   * request and any for an answer. @default 60
   */
  readonly stallTimeout?: number;
  /** Seconds that `close` lets running requests go on. @default 30 */
  readonly shutdownTimeout?: number;
  /** Seconds between two signs of life in a stream that has nothing to say. @default 15 */
  readonly keepAlive?: number;
  /** `'auto'`: the checkpoint's chat template, or the task template where it has none. @default 'auto' */
  readonly chatTemplate?:
    | 'auto'
    | 'task'
    | {
        /** Jinja, as in tokenizer_config.json. */
        readonly template: string;
      };
  /** Folder of static files for `/`; false = none. @default the page that comes with this package */
  readonly page?: string | false;
  /** A pino instance's options or, as `loggerInstance` of Fastify, false for no logs. @default false */
  readonly logger?: FastifyServerOptions['logger'];
  /** Write prompts and answers into the logs. @default false */
  readonly logPrompts?: boolean;
}

/** `ServerOptions` with all defaults filled in. */
export interface ServerSettings extends Required<ServerOptions> {
  /** Canvases of one client that are worked on at once. */
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
  logger: true,
  logPrompts: true,
};

/** Longest time that a timer can wait, in seconds. */
const longest = (2 ** 31 - 1) / 1000;

/** Validates options and fills in the defaults. Throws TypeError and RangeError that quote what is wrong. */
export function readServerOptions(given: ServerOptions | undefined, model: RND1): ServerSettings {
  const options = optionsObject('options', given, names);
  const seconds = (name: keyof ServerOptions, fallback: number) =>
    numberOption(name, options[name] ?? fallback, 0, longest);
  const maxRunning = integerOption('maxRunning', options.maxRunning ?? 64, 1);
  const maxQueued = integerOption('maxQueued', options.maxQueued ?? 256, 0);
  // So that whoever comes second finds room.
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
      options.maxCanvasTokens ?? model.config.model.maxPositions,
      1,
    ),
    requestTimeout: seconds('requestTimeout', 600),
    stallTimeout: seconds('stallTimeout', 60),
    shutdownTimeout: seconds('shutdownTimeout', 30),
    keepAlive: seconds('keepAlive', 15),
    chatTemplate: chatTemplateOption(options.chatTemplate ?? 'auto'),
    page: options.page === undefined ? ownPage() : options.page && stringOption('page', options.page),
    logger: options.logger ?? false,
    logPrompts: booleanOption('logPrompts', options.logPrompts, false),
  };
}

/** The hub's cache has a model under `models--OWNER--NAME/snapshots/REVISION`. */
function nameOf(folder: string): string {
  const [, owner, name] = /models--([^/\\]+)--([^/\\]+)[/\\]snapshots[/\\][^/\\]+[/\\]?$/.exec(folder) ?? [];
  return owner === undefined ? basename(folder) : `${owner}/${name}`;
}

/** The page that comes with this package. */
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

/** Keys as a header can carry them. The errors do not quote: these are secrets. */
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

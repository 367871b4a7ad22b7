import { type Command, Option } from 'commander';
import type { DiffusionLM } from '../index';
import { printableJson, printableName } from '../support/printable';
import { apiKeys } from './environment';
import { HumanLog } from './human-log';
import { integer, number, parser, type TemplateOption, templateOption, UsageError } from './input';
import { Interruption } from './interrupt';
import { loadModel } from './loading';
import {
  addModelOptions,
  chatTemplateOption,
  type ModelFlags,
  maxCanvasOption,
  maxRowsOption,
  promptTimeoutOption,
  verboseHelp,
} from './options';
import { styleFor } from './style';

interface ServeFlags extends ModelFlags {
  readonly host: string;
  readonly port: number;
  readonly name?: string;
  readonly apiKey?: readonly string[];
  readonly corsOrigin?: readonly string[];
  readonly allowedHosts?: readonly string[];
  readonly page: boolean;
  readonly chatTemplate?: string;
  readonly maxRunning?: number;
  readonly maxQueued?: number;
  readonly maxPerClient?: number;
  readonly maxConnections?: number;
  readonly maxRowsPerStep?: number;
  readonly maxBodyBytes?: number;
  readonly maxCanvasTokens?: number;
  readonly promptTimeout?: number;
  readonly requestTimeout?: number;
  readonly stallTimeout?: number;
  readonly shutdownTimeout?: number;
  readonly batchFolder?: string;
  readonly maxFileBytes?: number;
  readonly maxFolderBytes?: number;
  readonly maxBatchLines?: number;
  readonly keepDays?: number;
  readonly logLevel: string;
  readonly logFormat: 'auto' | 'human' | 'json';
  readonly logPrompts?: boolean;
  readonly verbose?: boolean;
}

const manual = `
Endpoints:
  /                     web page that shows a text while it unmasks
  /v1/chat/completions  /v1/completions  /v1/models
                        compatible with OpenAI clients
  /v1/denoise           every step as an event: masks, predictions, commits
  /v1/infill  /v1/fill  text between two texts, and into holes
  /v1/files  /v1/batches
                        files of requests, with --batch-folder
  /openapi.json  /healthz  /readyz  /metrics

  Concurrent requests share the steps of the model; each gets the text that
  it would get alone. docs/server.md describes all fields.

Printed output:
  The address goes to standard output, logs go to standard error: short lines
  in a terminal, elsewhere one JSON object per line, unless --log-format is
  given. Prompts and answers are logged only with --log-prompts.

Exit codes:
  0 after Ctrl-C or SIGTERM, once running requests have ended; 1 failure,
  2 wrong usage. A second signal exits at once.

Examples:
  $ rnd1 serve
  $ rnd1 serve --host 0.0.0.0 --api-key a-long-random-word
  $ RND1_API_KEY=one,another rnd1 serve --max-running 16 --max-queued 100`;

const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'];

const port = parser((text) => {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65535) throw new RangeError('Expected a port, 0 to 65535.');
  return value;
});
const list = (value: string, previous: readonly string[] = []) => [...previous, value];
const names = (value: string, previous: readonly string[] = []) => [
  ...previous,
  ...value.split(',').map((name) => name.trim()),
];

/** `rnd1 serve` */
export function addServe(program: Command): void {
  const command = program
    .command('serve')
    .summary('serve a web page and an OpenAI-compatible API over HTTP')
    .description("Serves a web page, an OpenAI-compatible API and the model's own API over HTTP.")
    .optionsGroup('Network:')
    .option('--host <address>', 'address to listen on; 0.0.0.0: all addresses', '127.0.0.1')
    .addOption(
      new Option('-p, --port <number>', 'port to listen on; 0: any free port')
        .env('PORT')
        .default(8080)
        .argParser(port),
    )
    .option('--name <name>', 'model name for clients (default: its folder or its name on the hub)')
    .option(
      '--api-key <key>',
      'key that requests must send as `Authorization: Bearer`; may be repeated (env: RND1_API_KEY, comma-separated)',
      list,
    )
    .option(
      '--cors-origin <origin>',
      'origin whose web pages may call the API; may be repeated, *: all',
      list,
    )
    .option(
      '--allowed-hosts <names>',
      'host names of this server in addition to localhost, comma-separated; *.NAME: all subdomains, *: any',
      names,
    )
    .option('--no-page', 'do not serve the web page at /')
    .option(...chatTemplateOption)
    .optionsGroup('Limits:')
    .option('--max-running <count>', 'canvases denoised at the same time (default: 64)', integer(1))
    .option('--max-queued <count>', 'canvases that may wait; further ones get 429 (default: 256)', integer(0))
    .option(
      '--max-per-client <count>',
      'canvases, and requests, of one key or address; further ones get 429 (default: half of --max-running plus half of --max-queued)',
      integer(1),
    )
    .option(
      '--max-connections <count>',
      'open connections; idle ones are closed for new ones (default: 512)',
      integer(1),
    )
    .option(...maxRowsOption)
    .option('--max-body-bytes <count>', 'bytes of a request body (default: 262144)', integer(1))
    .option(...maxCanvasOption)
    .option(...promptTimeoutOption)
    .option(
      '--request-timeout <seconds>',
      'time limit for a complete response; 0 disables it (default: 600)',
      number(0),
    )
    .option(
      '--stall-timeout <seconds>',
      'time limit for a client to send a request, or to read a response or a part of a stream (default: 60)',
      number(0),
    )
    .option(
      '--shutdown-timeout <seconds>',
      'time limit for running requests after a signal (default: 30)',
      number(0),
    )
    .optionsGroup('Batches:')
    .option(
      '--batch-folder <folder>',
      'folder for /v1/files and /v1/batches, created if missing (default: neither exists)',
    )
    .option('--max-file-bytes <count>', 'bytes of an uploaded file (default: 200000000)', integer(1))
    .option(
      '--max-folder-bytes <count>',
      'bytes of all files; with several keys, half of them for one (default: 10000000000)',
      integer(1),
    )
    .option('--max-batch-lines <count>', 'requests of a batch (default: 50000)', integer(1))
    .option(
      '--keep-days <count>',
      'days after which files and finished batches are deleted (default: 30)',
      number(1 / 24, 36_500),
    )
    .optionsGroup('Logs:')
    .addOption(new Option('--log-level <level>', 'lowest level to log').choices(levels).default('info'))
    .addOption(
      new Option('--log-format <format>', 'auto: human in a terminal, json elsewhere')
        .choices(['auto', 'human', 'json'])
        .default('auto'),
    )
    .option('--log-prompts', 'also log prompts and answers')
    .option('--verbose', verboseHelp);
  addModelOptions(command);
  command.addHelpText('after', manual).action(serve);
}

async function serve(flags: ServeFlags): Promise<void> {
  const apiKeys = keysOf(flags);
  const chatTemplate = await templateOption(flags.chatTemplate);
  using interruption = new Interruption();
  const model = await loadModel({ ...flags, quiet: false }, interruption.signal);
  try {
    await run(model, flags, apiKeys, chatTemplate, interruption.signal);
  } finally {
    await model.dispose();
  }
}

async function run(
  model: DiffusionLM,
  flags: ServeFlags,
  apiKeys: readonly string[],
  chatTemplate: TemplateOption,
  signal: AbortSignal,
): Promise<void> {
  // Loaded here, so that other commands start without the HTTP dependencies.
  const { createServer } = require('../server') as typeof import('../server');
  const { isLoopbackAddress } = require('../server/hosts') as typeof import('../server/hosts');
  const { host, port, name, corsOrigin, logLevel, logFormat, page, ...limits } = flags;
  const server = await createServer(model, {
    modelName: name,
    apiKeys,
    corsOrigins: corsOrigin,
    allowedHosts: limits.allowedHosts,
    chatTemplate,
    page: page ? undefined : false,
    maxRunning: limits.maxRunning,
    maxQueued: limits.maxQueued,
    maxPerClient: limits.maxPerClient,
    maxConnections: limits.maxConnections,
    maxBodyBytes: limits.maxBodyBytes,
    maxCanvasTokens: limits.maxCanvasTokens,
    requestTimeout: limits.requestTimeout,
    stallTimeout: limits.stallTimeout,
    shutdownTimeout: limits.shutdownTimeout,
    batchFolder: limits.batchFolder,
    maxFileBytes: limits.maxFileBytes,
    maxFolderBytes: limits.maxFolderBytes,
    maxBatchLines: limits.maxBatchLines,
    keepDays: limits.keepDays,
    logger: { level: logLevel, stream: logStream(logFormat) },
    logPrompts: limits.logPrompts,
  });
  try {
    const url = await server.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
      throw cannotListen(error, host, port);
    });
    process.stdout.write(`${welcome(url, server.modelName)}\n`);
    if (apiKeys.length === 0 && !isLoopbackAddress(host)) warnOpen(host);
    await aborted(signal);
  } finally {
    await server.close();
  }
}

/** Output stream of the server's log: JSON lines, or the human format. */
function logStream(format: ServeFlags['logFormat']): { write(line: string): unknown } {
  const human = format === 'human' || (format === 'auto' && process.stderr.isTTY);
  if (human) return new HumanLog(process.stderr, styleFor(process.stderr));
  return { write: (line) => process.stderr.write(printableJson(line)) };
}

function welcome(url: string, name: string): string {
  const style = styleFor(process.stdout);
  return `rnd1 serves ${printableName(name)} at ${style.strong(url)} (Ctrl-C ends it)`;
}

function warnOpen(host: string): void {
  process.stderr.write(
    `rnd1: warning: everyone who reaches ${host} can use this server; set --api-key to require a key\n`,
  );
}

/** Resolves when `signal` aborts. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** API keys from the flags and from RND1_API_KEY. */
function keysOf({ apiKey = [] }: ServeFlags): string[] {
  const keys = [...apiKey, ...apiKeys()];
  for (const key of keys) {
    if (!/^[\x21-\x7e]+$/.test(key)) throw new UsageError('an API key must be visible ASCII without spaces');
  }
  return keys;
}

/** Explains the usual failures of `listen`, and which option helps. */
function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `port ${port} is in use: choose another one with --port, 0 for any free port`,
    EADDRNOTAVAIL: `this machine has no address ${printableName(host)}: choose one of its own with --host`,
    EACCES: `port ${port} is not allowed for this user: choose another one with --port`,
  };
  const reason = reasons[error.code ?? ''];
  return reason === undefined ? error : new Error(reason, { cause: error });
}

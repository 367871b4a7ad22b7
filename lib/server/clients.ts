import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';

const keys = new WeakMap<FastifyRequest, number>();

/** Remembers which of several keys a request has sent. */
export function setKey(request: FastifyRequest, index: number): void {
  keys.set(request, index);
}

/** The client to which limits apply: an API key if there are several, else an address. */
export function clientOf(request: FastifyRequest): string {
  const key = keys.get(request);
  if (key !== undefined) return `key ${key}`;
  return batchLineOf(request)?.client ?? networkOf(addressOf(request));
}

/** Whose files and batches a request may use: those of its API key, or of everyone if no key is required. */
export function ownerOf(request: FastifyRequest, apiKeys: readonly string[]): string {
  const key = apiKeys[keys.get(request) ?? 0];
  return key === undefined ? '' : createHash('sha256').update(key).digest('hex').slice(0, 16);
}

/** An IPv4 address, or the first 64 bits of an IPv6 address: a client usually has all addresses of such a network. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address;
  const [head = '', tail] = (address.split('%', 1)[0] as string).split('::');
  const groups = head === '' ? [] : head.split(':');
  const behind = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = new Array<string>(Math.max(0, 8 - groups.length - behind.length)).fill('0');
  return `${[...groups, ...zeros, ...behind].slice(0, 4).join(':')}::/64`;
}

const addressOf = (request: FastifyRequest) => request.raw.socket?.remoteAddress ?? '';

/** A line of a batch, which this process sends to itself as a request. */
export interface BatchLine {
  /** For limits, a client of its own, so that requests of the batch's client come in between. */
  readonly client: string;
  readonly signal: AbortSignal;
}

/** Lines that are being answered, by addresses that no connection has. */
const batchLines = new Map<string, BatchLine>();
let lastLine = 0;

/** Has `ask` send a line as a request from an address that identifies it. */
export async function askAs<T>(line: BatchLine, ask: (address: string) => Promise<T>): Promise<T> {
  const address = `line ${++lastLine}`;
  batchLines.set(address, line);
  try {
    return await ask(address);
  } finally {
    batchLines.delete(address);
  }
}

/** The line of a batch that a request is; null for all that come from outside. */
export const batchLineOf = (request: FastifyRequest): BatchLine | null =>
  batchLines.get(addressOf(request)) ?? null;

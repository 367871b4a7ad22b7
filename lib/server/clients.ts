import type { FastifyRequest } from 'fastify';

const names = new WeakMap<FastifyRequest, string>();

/** Remembers which of several keys a request has sent. */
export function setKey(request: FastifyRequest, index: number): void {
  names.set(request, `key ${index}`);
}

/** The client to which limits apply: an API key if there are several, else an address. */
export function clientOf(request: FastifyRequest): string {
  return names.get(request) ?? networkOf(request.raw.socket?.remoteAddress ?? '');
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

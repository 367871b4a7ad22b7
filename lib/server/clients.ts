import type { FastifyRequest } from 'fastify';

const names = new WeakMap<FastifyRequest, string>();

/** Remembers which of several keys a request bears. */
export function setKey(request: FastifyRequest, index: number): void {
  names.set(request, `key ${index}`);
}

/** Who asks, as far as limits go: the owner of a key where there are several, else an address. */
export function clientOf(request: FastifyRequest): string {
  return names.get(request) ?? networkOf(request.raw.socket?.remoteAddress ?? '');
}

/** An address of IPv4; of IPv6 the first 64 bits, for whoever has one address has all behind these. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address;
  const [head = '', tail] = (address.split('%', 1)[0] as string).split('::');
  const groups = head === '' ? [] : head.split(':');
  const behind = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = new Array<string>(Math.max(0, 8 - groups.length - behind.length)).fill('0');
  return `${[...groups, ...zeros, ...behind].slice(0, 4).join(':')}::/64`;
}

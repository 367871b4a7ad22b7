import type { FastifyRequest } from 'fastify';
import { ApiError } from './errors';

/** Which names a server goes by. */
export interface HostRules {
  /** Names without ports; `*.example.com` is every name below, `*` is any. */
  readonly allowedHosts: readonly string[];
  /** Origins whose pages may ask although they are of another name; `*` is all. */
  readonly corsOrigins: readonly string[];
}

/**
 * Refuses requests for other servers. A page of a stranger can let its own name point to 127.0.0.1: its requests then
 * come from the user's browser and are of the same origin as this server's page, and the name is all that gives them
 * away. A server that listens at loopback addresses alone takes only their names, and those it is told.
 */
export class HostCheck {
  readonly #rules: HostRules;
  /** Names are looked at. */
  #strict: boolean;

  constructor(rules: HostRules) {
    this.#rules = rules;
    this.#strict = rules.allowedHosts.length > 0;
  }

  /** Tells it where the server listens. */
  bound(address: string): void {
    if (isLoopbackAddress(address)) this.#strict = true;
  }

  /** @throws ApiError 400 or 403 */
  check(request: FastifyRequest): void {
    const { rawHeaders, httpVersion, headers } = request.raw;
    const hosts = rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length;
    if (hosts > 1) throw new ApiError(400, 'invalid_host', 'the request has several Host headers');
    if (hosts === 0 && httpVersion > '1.0') {
      throw new ApiError(400, 'missing_host', 'the request has no Host header');
    }
    if (!this.#strict) return;
    const target = absoluteTarget(request.originalUrl)?.authority;
    for (const host of [headers.host, target]) {
      if (host !== undefined && !this.#allows(host)) throw refusedHost(host);
    }
    const { origin } = headers;
    if (origin !== undefined && !this.#allowsOrigin(origin)) throw refusedOrigin(origin);
  }

  #allows(authority: string): boolean {
    const { allowedHosts } = this.#rules;
    if (allowedHosts.includes('*')) return true;
    const name = nameOf(authority);
    if (name === null) return false;
    return isLoopback(name) || allowedHosts.some((allowed) => matches(name, allowed));
  }

  #allowsOrigin(origin: string): boolean {
    const { corsOrigins } = this.#rules;
    if (corsOrigins.includes('*') || corsOrigins.includes(origin)) return true;
    const authority = /^https?:\/\/([^/]*)$/i.exec(origin)?.[1];
    return authority !== undefined && this.#allows(authority);
  }
}

/** Whether only this machine reaches what listens there: a name or an address, of IPv6 with or without brackets. */
export function isLoopbackAddress(address: string): boolean {
  const name = nameOf(/^[^[]*:/.test(address) ? `[${address}]` : address);
  return name !== null && isLoopback(name);
}

/** The two parts of a target as proxies are sent it, `http://host/path`; null for the usual one. */
export function absoluteTarget(url: string): { readonly authority: string; readonly path: string } | null {
  const [, authority, path] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(url) ?? [];
  if (authority === undefined || path === undefined) return null;
  return { authority, path: path.startsWith('/') ? path : `/${path}` };
}

/** A name of the option in the form that names of requests are brought into; null for what is none. */
export function allowedHost(text: string): string | null {
  if (text === '*') return text;
  const below = /^\*\.(.+)$/.exec(text)?.[1];
  if (below !== undefined) {
    const name = nameOf(below);
    return name === null ? null : `*.${name}`;
  }
  if (/^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text)) return nameOf(`[${text}]`);
  return /:\d+$/.test(text.replace(/^\[.*\]/, '')) ? null : nameOf(text);
}

function matches(name: string, allowed: string): boolean {
  return allowed.startsWith('*.') ? name.endsWith(allowed.slice(1)) : name === allowed;
}

/** The name before the port: lower case, without a dot at its end, addresses in their usual form. */
function nameOf(authority: string): string | null {
  const [, name] = /^(\[[0-9a-f:.]+\]|[\p{L}\p{N}._-]+)(?::\d{1,5})?$/iu.exec(authority) ?? [];
  if (name === undefined || !URL.canParse(`http://${name}`)) return null;
  return new URL(`http://${name}`).hostname.replace(/(?<=.)\.$/, '');
}

/** Whether `nameOf` something stands for the machine itself, whatever a name server says. */
function isLoopback(name: string): boolean {
  return /^(?:(?:.+\.)?localhost|127(?:\.\d+){3}|\[::1\]|\[::ffff:7f[0-9a-f]{2}:[0-9a-f]+\])$/.test(name);
}

const shown = (text: string) => JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);

function refusedHost(host: string): ApiError {
  const message = `the host ${shown(host)} is not among those of this server; --allowed-hosts (allowedHosts) adds names`;
  return new ApiError(403, 'host_not_allowed', message);
}

function refusedOrigin(origin: string): ApiError {
  const message =
    `pages of ${shown(origin)} may not ask this server; --cors-origin (corsOrigins) lets them, ` +
    '--allowed-hosts (allowedHosts) adds names of the server itself';
  return new ApiError(403, 'origin_not_allowed', message);
}

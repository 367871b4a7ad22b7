import type { FastifyRequest } from 'fastify';
import { ApiError } from './errors';

/** The names and origins that a server accepts. */
export interface HostRules {
  /** Names without ports; `*.example.com` is every subdomain, `*` is any name. */
  readonly allowedHosts: readonly string[];
  /** Origins of other names whose pages may send requests; `*` is all. */
  readonly corsOrigins: readonly string[];
}

/**
 * Refuses requests for other host names, against DNS rebinding: a hostile page can let its own name resolve to
 * 127.0.0.1. Its requests then come from the user's browser with the same origin as this server's page, and only the
 * name reveals them. A server on a loopback address accepts only loopback names and `allowedHosts`.
 */
export class HostCheck {
  readonly #rules: HostRules;
  /** Names are checked. */
  #strict: boolean;

  constructor(rules: HostRules) {
    this.#rules = rules;
    this.#strict = rules.allowedHosts.length > 0;
  }

  /** Sets the address on which the server listens. */
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

/** Whether only this machine can reach a name or an address (IPv6 with or without brackets). */
export function isLoopbackAddress(address: string): boolean {
  const name = nameOf(/^[^[]*:/.test(address) ? `[${address}]` : address);
  return name !== null && isLoopback(name);
}

/** The two parts of an absolute request target, `http://host/path`, as proxies get it; null for a mere path. */
export function absoluteTarget(url: string): { readonly authority: string; readonly path: string } | null {
  const [, authority, path] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(url) ?? [];
  if (authority === undefined || path === undefined) return null;
  return { authority, path: path.startsWith('/') ? path : `/${path}` };
}

/** An entry of `allowedHosts`, normalized like the names of requests; null if it is not a name. */
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

/** The name before the port, normalized: lower case, no dot at its end, canonical addresses. Null if invalid. */
function nameOf(authority: string): string | null {
  const [, name] = /^(\[[0-9a-f:.]+\]|[\p{L}\p{N}._-]+)(?::\d{1,5})?$/iu.exec(authority) ?? [];
  if (name === undefined || !URL.canParse(`http://${name}`)) return null;
  return new URL(`http://${name}`).hostname.replace(/(?<=.)\.$/, '');
}

/** Whether a result of `nameOf` always means this machine, whatever DNS says. */
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
    `pages of ${shown(origin)} may not call this server; --cors-origin (corsOrigins) allows them, ` +
    '--allowed-hosts (allowedHosts) adds names of the server itself';
  return new ApiError(403, 'origin_not_allowed', message);
}

import { BlockList, isIP } from 'node:net';

/** A proxy that an environment variable names. */
export interface ProxyServer {
  /** Name of the variable that is set, such as `https_proxy`. */
  readonly variable: string;
  /** Its address, without user and password. */
  readonly url: string;
  /** Value of `Proxy-Authorization`; null if there is neither user nor password. */
  readonly authorization: string | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for a URL as Python's HTTP libraries choose it: HTTP_PROXY or HTTPS_PROXY by the scheme, else ALL_PROXY,
 * unless NO_PROXY names the host. Names in lower case take precedence.
 *
 * @throws TypeError naming a variable that is not the address of an HTTP proxy; the value may contain a password and is
 *   not quoted
 */
export function proxyFor(target: URL, environment: Environment = process.env): ProxyServer | null {
  const found =
    variable(target.protocol.replace(':', '_proxy'), environment) ?? variable('all_proxy', environment);
  if (found === null || isExcluded(target, variable('no_proxy', environment)?.value ?? '')) return null;
  const { name, value } = found;
  const text = value.includes('://') ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    throw new TypeError(`${name} must be the address of an HTTP proxy, as http://host:port`);
  }
  const { username, password, protocol, host } = url;
  const login = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64');
  const authorization = username === '' && password === '' ? null : `Basic ${login}`;
  return { variable: name, url: `${protocol}//${host}`, authorization };
}

/** Users and passwords of all proxies that are set. */
export function proxySecrets(environment: Environment = process.env): string[] {
  const values = ['http_proxy', 'https_proxy', 'all_proxy'].flatMap((name) => [
    environment[name],
    environment[name.toUpperCase()],
  ]);
  return values.flatMap((value = '') => {
    const login = /^(?:[^/]*:\/\/)?(.*)@/.exec(value)?.[1];
    if (login === undefined) return [];
    const password = login.slice(login.indexOf(':') + 1);
    return [login, decoded(login), password, decoded(password)];
  });
}

/** A variable by its lower-case name, else by its upper-case name. An empty one is unset, and hides the other. */
function variable(name: string, environment: Environment): { name: string; value: string } | null {
  const upper = name.toUpperCase();
  // In a CGI process of a web server, a client can set HTTP_PROXY with the header `Proxy`.
  const isForeign = upper === 'HTTP_PROXY' && environment.REQUEST_METHOD !== undefined;
  const named = environment[name] !== undefined || isForeign ? name : upper;
  const value = environment[named]?.trim() ?? '';
  return value === '' ? null : { name: named, value };
}

/** Whether NO_PROXY lists a host: by name (or a parent domain), with or without a port, by address or network. */
function isExcluded(target: URL, list: string): boolean {
  const host = target.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = target.port || (target.protocol === 'https:' ? '443' : '80');
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      if (entry.includes('/')) return isInNetwork(host, entry);
      const [, name = entry, entryPort] = /^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? [];
      if (entryPort !== undefined && entryPort !== port) return false;
      const plain = name.replace(/^\[|\]$/g, '').replace(/^\*?\./, '');
      return plain !== '' && (host === plain || (isIP(host) === 0 && host.endsWith(`.${plain}`)));
    });
}

function isInNetwork(host: string, entry: string): boolean {
  const [network = '', bits = ''] = entry.split('/');
  const [family, kind] = [isIP(network), isIP(host)];
  if (
    family === 0 ||
    family !== kind ||
    !/^\d{1,3}$/.test(bits) ||
    Number(bits) > (family === 4 ? 32 : 128)
  ) {
    return false;
  }
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const networks = new BlockList();
  networks.addSubnet(network, Number(bits), type);
  return networks.check(host, type);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

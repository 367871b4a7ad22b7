import type * as Undici from 'undici';
import { reasonOf } from './failure';
import { type ProxyServer, proxyFor } from './proxy';

/** Connections by what they go through, for all requests of the process. */
const dispatchers = new Map<string, Undici.Dispatcher>();

/** Loaded when it is needed first. */
function undici(): typeof Undici {
  // Node.js sets up connections of its own fetch when that is touched first, and undici sets up its own for both where
  // it comes before that; releases of Node.js whose undici is a later one would not get along with them.
  void globalThis.Headers;
  return require('undici');
}

/** Silence is watched by who asks. */
const timeouts = { headersTimeout: 0, bodyTimeout: 0 };

function dispatcherFor(proxy: ProxyServer | null): Undici.Dispatcher {
  const key = proxy === null ? '' : `${proxy.url} ${proxy.authorization}`;
  let dispatcher = dispatchers.get(key);
  if (dispatcher === undefined) {
    const { Agent, ProxyAgent } = undici();
    dispatcher =
      proxy === null
        ? new Agent(timeouts)
        : new ProxyAgent({
            ...timeouts,
            uri: proxy.url,
            ...(proxy.authorization === null ? {} : { token: proxy.authorization }),
            // Many proxies make tunnels for https alone.
            proxyTunnel: false,
          });
    dispatchers.set(key, dispatcher);
  }
  return dispatcher;
}

/**
 * `fetch`, through the proxy that the environment names. Redirects are not followed, and neither are settings of Node.js
 * for its own fetch.
 *
 * @throws TypeError for a variable that names no proxy; else as `fetch`
 */
export async function fetchThroughProxy(
  target: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Response> {
  const proxy = proxyFor(target);
  const dispatcher = dispatcherFor(proxy);
  const init = { headers: { ...headers }, signal, dispatcher, redirect: 'manual' } as const;
  try {
    return (await undici().fetch(target.href, init)) as unknown as Response;
  } catch (error) {
    if (proxy === null || signal.aborted) throw error;
    throw new Error(`through the proxy of ${proxy.variable}: ${reasonOf(error)}`);
  }
}

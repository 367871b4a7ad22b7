import type * as Undici from 'undici';
import { reasonOf } from './failure';
import { type ProxyServer, proxyFor } from './proxy';

/** Dispatchers by proxy and timeout, shared by all requests of the process. */
const dispatchers = new Map<string, Undici.Dispatcher>();

/** undici, loaded on first use. */
function undici(): typeof Undici {
  // The first access of a fetch global makes Node.js create its own dispatcher. If this undici were loaded earlier, its
  // dispatcher would serve Node.js's fetch, too, which fails in releases that contain a newer undici.
  void globalThis.Headers;
  return require('undici');
}

/** Off: callers have their own timeout. */
const timeouts = { headersTimeout: 0, bodyTimeout: 0 };

function dispatcherFor(proxy: ProxyServer | null, timeout: number): Undici.Dispatcher {
  const key = proxy === null ? '' : `${proxy.url} ${proxy.authorization} ${timeout}`;
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
            // Many proxies make tunnels only for https.
            proxyTunnel: false,
            clientFactory: (origin, options) => tunnelsOf(origin, { ...options, headersTimeout: timeout }),
          });
    dispatchers.set(key, dispatcher);
  }
  return dispatcher;
}

/**
 * The pool that requests tunnels from a proxy. Aborting a request does not abort its tunnel request, and undici
 * reconnects endlessly to a proxy that hangs up: this pool gives up at the first failure, and after `headersTimeout`
 * without an answer.
 */
function tunnelsOf(origin: URL, options: Undici.Pool.Options): Undici.Pool {
  const pool = new (undici().Pool)(origin, options);
  const connect = pool.connect.bind(pool) as (
    options: Undici.Dispatcher.ConnectOptions,
  ) => Promise<Undici.Dispatcher.ConnectData>;
  const connectOnce = async (options: Undici.Dispatcher.ConnectOptions) => {
    const answer = await connect(options).catch((error) => {
      // undici retries on its own error codes; this error has none.
      throw new Error(reasonOf(error));
    });
    if (answer.statusCode === 200) return answer;
    answer.socket.on('error', () => {}).destroy();
    throw new Error(`it answers ${answer.statusCode} to the request for a tunnel`);
  };
  return Object.assign(pool, { connect: connectOnce as typeof pool.connect });
}

/**
 * `fetch` through the proxy that the environment names. It follows no redirects and ignores Node.js's settings for its
 * own fetch. A proxy has `timeout` milliseconds to make a tunnel.
 *
 * @throws TypeError if a variable is not a proxy address; else as `fetch`
 */
export async function fetchThroughProxy(
  target: URL,
  headers: Readonly<Record<string, string>>,
  { signal, timeout }: { readonly signal: AbortSignal; readonly timeout: number },
): Promise<Response> {
  const proxy = proxyFor(target);
  const dispatcher = dispatcherFor(proxy, timeout);
  const init = { headers: { ...headers }, signal, dispatcher, redirect: 'manual' } as const;
  try {
    return (await undici().fetch(target.href, init)) as unknown as Response;
  } catch (error) {
    if (proxy === null || signal.aborted) throw error;
    throw new Error(`through the proxy of ${proxy.variable}: ${reasonOf(error)}`);
  }
}

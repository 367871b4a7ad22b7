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
            // Many proxies make tunnels for https alone.
            proxyTunnel: false,
            clientFactory: (origin, options) => tunnelsOf(origin, { ...options, headersTimeout: timeout }),
          });
    dispatchers.set(key, dispatcher);
  }
  return dispatcher;
}

/**
 * Where tunnels are asked for. No abort of a request reaches what asks for its tunnel, and undici connects again and again,
 * without an end, to a proxy that hangs up: this ends with the first failure, and after `headersTimeout` without an answer.
 */
function tunnelsOf(origin: URL, options: Undici.Pool.Options): Undici.Pool {
  const pool = new (undici().Pool)(origin, options);
  const connect = pool.connect.bind(pool) as (
    options: Undici.Dispatcher.ConnectOptions,
  ) => Promise<Undici.Dispatcher.ConnectData>;
  const connectOnce = async (options: Undici.Dispatcher.ConnectOptions) => {
    const answer = await connect(options).catch((error) => {
      // The code of undici's own error is what makes it try again.
      throw new Error(reasonOf(error));
    });
    if (answer.statusCode === 200) return answer;
    answer.socket.on('error', () => {}).destroy();
    throw new Error(`it answers ${answer.statusCode} to the request for a tunnel`);
  };
  return Object.assign(pool, { connect: connectOnce as typeof pool.connect });
}

/**
 * `fetch`, through the proxy that the environment names. Redirects are not followed, and neither are settings of Node.js
 * for its own fetch. A proxy has `timeout` milliseconds to make a tunnel.
 *
 * @throws TypeError for a variable that names no proxy; else as `fetch`
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

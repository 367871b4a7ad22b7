import { EventStreamParser } from './event-stream.js';
import { CutOffError, RequestError } from './failures.js';

/** @import { DenoiseRequest, Failure, RunEvent, ServedModel } from './contract.d.ts' */

const keyName = 'rnd1-api-key';

/** Stores the key for this tab only, until it is closed. @param {string} key */
export const keepKey = (key) => sessionStorage.setItem(keyName, key);

/** Whether a key is stored. */
export const keyIsKept = () => sessionStorage.getItem(keyName) !== null;

/** @returns {Record<string, string>} */
function authorization() {
  const key = sessionStorage.getItem(keyName);
  return key === null ? {} : { authorization: `Bearer ${key}` };
}

/**
 * The first model that the server offers.
 *
 * @returns {Promise<ServedModel | null>}
 */
export async function servedModel() {
  const response = await fetch('v1/models', { headers: authorization() });
  if (!response.ok) throw await refusal(response);
  const { data } = /** @type {{ data?: ServedModel[] }} */ (await response.json());
  return data?.[0] ?? null;
}

/**
 * Runs a request and yields its events, up to and including the end.
 *
 * @param {DenoiseRequest} request
 * @param {AbortSignal} signal on abort, the server stops at its next step
 * @returns {AsyncGenerator<Exclude<RunEvent, { event: 'error' }>, void, void>}
 * @throws RequestError, CutOffError, TypeError without a connection, or the reason of `signal`
 */
export async function* denoise(request, signal) {
  const response = await fetch('v1/denoise', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...authorization() },
    body: JSON.stringify(request),
    signal,
  });
  if (!response.ok || response.body === null) throw await refusal(response);
  const parser = new EventStreamParser();
  for await (const chunk of textOf(response.body, signal)) {
    for (const { event, data } of parser.push(chunk)) {
      const message = /** @type {RunEvent} */ ({ event, data: data === '[DONE]' ? null : JSON.parse(data) });
      if (message.event === 'error') throw new RequestError(null, message.data.error);
      if (!['start', 'frame', 'end'].includes(message.event)) continue;
      yield message;
      if (message.event === 'end') return;
    }
  }
  throw new CutOffError('the stream ended before the run');
}

/**
 * A body as text. Safari cannot iterate over streams, so they are read by hand.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {AbortSignal} signal
 */
async function* textOf(body, signal) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        signal.throwIfAborted();
        throw new CutOffError('the connection broke', { cause: error });
      });
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** @param {Response} response */
async function refusal(response) {
  /** @type {Failure | null} */
  let failure = null;
  try {
    failure = (await response.json()).error ?? null;
  } catch {
    // An HTML page of a proxy is not shown.
  }
  return new RequestError(response.status, failure, response.headers.get('retry-after'));
}

/**
 * @import { Failure } from './contract.d.ts'
 *
 * Texts that explain a failed request to the user.
 * @typedef {{ title: string, advice: string, detail: string }} Explanation
 */

/** A request that the server refused, or a run that failed there. */
export class RequestError extends Error {
  /**
   * @param {number | null} status of HTTP; null for an error in the middle of a stream
   * @param {Failure | null} failure the server's error
   * @param {string | null} [retryAfter] seconds, from the header
   */
  constructor(status, failure, retryAfter = null) {
    super(failure?.message ?? `HTTP ${status}`);
    this.status = status;
    this.failure = failure;
    this.retryAfter = retryAfter;
  }
}

/** The stream ended before the run did. */
export class CutOffError extends Error {}

/**
 * @param {unknown} error
 * @returns {Explanation}
 */
export function explain(error) {
  if (error instanceof CutOffError) {
    return {
      title: 'The connection ended early.',
      advice: 'What had arrived is still here to look at. Try again.',
      detail: '',
    };
  }
  if (error instanceof RequestError) return explainRefusal(error);
  // fetch rejects with a TypeError if there is no response.
  if (error instanceof TypeError) {
    return {
      title: 'The server cannot be reached.',
      advice: 'Is rnd1 serve still running? Start it again, then try once more.',
      detail: '',
    };
  }
  return {
    title: 'Something went wrong on this page.',
    advice: 'Reload it and try again.',
    detail: String(error),
  };
}

/**
 * @param {RequestError} error
 * @returns {Explanation}
 */
function explainRefusal({ status, failure, retryAfter }) {
  const detail = failure?.message ?? '';
  switch (status) {
    case null:
      return { title: 'The run failed on the way.', advice: 'What had arrived is still here.', detail };
    case 400:
      return {
        title: 'The server did not accept this.',
        advice: 'Change what it names, then retry.',
        detail,
      };
    case 401:
    case 403:
      return {
        title: 'The server wants another key.',
        advice: 'Press the button again to give one.',
        detail,
      };
    case 404:
      return { title: 'This server does not know the model.', advice: 'Reload the page.', detail };
    case 413:
      return { title: 'That is more than the server takes.', advice: 'Make it shorter.', detail };
    case 429: {
      const seconds = Math.ceil(Number(retryAfter));
      const wait = retryAfter !== null && seconds > 0 ? `in ${seconds} s` : 'in a moment';
      return { title: 'The server is busy.', advice: `Try again ${wait}.`, detail };
    }
    case 503:
      return {
        title: 'The server is not ready.',
        advice: 'It is starting or shutting down. Wait a little.',
        detail,
      };
    default:
      return { title: 'The server failed.', advice: `It answered with status ${status}.`, detail };
  }
}

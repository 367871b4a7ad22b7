/** A server-sent event. @typedef {{ event: string, data: string }} ServerSentEvent */

/**
 * Takes a text/event-stream apart as it comes in, wherever the network cut it. Comments, ids and retry times are
 * left out: they mean nothing to a stream that answers one request.
 */
export class EventStreamParser {
  #rest = '';
  #event = '';
  /** @type {string[]} */
  #data = [];

  /**
   * The events that a piece of the stream completes.
   *
   * @param {string} chunk
   * @returns {ServerSentEvent[]}
   */
  push(chunk) {
    const lines = (this.#rest + chunk).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    /** @type {ServerSentEvent[]} */
    const events = [];
    for (const line of lines) {
      const event = this.#line(line);
      if (event !== null) events.push(event);
    }
    return events;
  }

  /** @param {string} line */
  #line(line) {
    if (line === '') {
      const event = { event: this.#event || 'message', data: this.#data.join('\n') };
      const complete = this.#data.length > 0;
      this.#event = '';
      this.#data = [];
      return complete ? event : null;
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === 'event') this.#event = value ?? '';
    if (field === 'data') this.#data.push(value ?? '');
    return null;
  }
}

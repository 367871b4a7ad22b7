/** A server-sent event. @typedef {{ event: string, data: string }} ServerSentEvent */

/**
 * Parses a text/event-stream incrementally, wherever the network splits it. Comments, ids and retry times are ignored:
 * they have no use in a stream that answers one request.
 */
export class EventStreamParser {
  #rest = '';
  #event = '';
  /** @type {string[]} */
  #data = [];

  /**
   * Returns the events that a chunk of the stream completes.
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

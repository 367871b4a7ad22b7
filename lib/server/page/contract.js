/**
 * What `POST /v1/denoise` sends, in the order of a run: one `start`, a `frame` for every step that committed
 * something, then `end` or `error`. Confidence is a probability, entropy is in nats, times are in milliseconds.
 *
 * @typedef {{ position: number, id: number, text: string, masked: boolean }} CanvasToken
 * @typedef {{ position: number, id: number, text: string, confidence: number, entropy: number }} Prediction
 * @typedef {{ id: string, model: string, seed: number | string, steps: number, tokens: CanvasToken[] }} Start
 * @typedef {{ step: number, masked: number, committed: Prediction[], provisional: Prediction[],
 *   elapsed_ms: number }} Frame
 * @typedef {{ prompt_tokens: number, completion_tokens: number, steps: number }} Usage
 * @typedef {{ text: string, finish_reason: string, usage: Usage, elapsed_ms: number }} End
 * @typedef {{ message: string, type?: string, code?: string | null }} Failure
 *
 * @typedef {{ event: 'start', data: Start } | { event: 'frame', data: Frame } | { event: 'end', data: End }
 *   | { event: 'error', data: { error: Failure } }} RunEvent
 */

/** @typedef {string | { type: string, gamma?: number, tau?: number, length?: number, schedule?: Schedule }} Schedule */

/**
 * The body of a request: a prompt, or a text with holes.
 *
 * @typedef {{ prompt?: string, text?: string, tokens_per_hole?: number, max_tokens?: number, steps?: number,
 *   schedule?: Schedule, temperature?: number, seed?: number | string }} DenoiseRequest
 */

export {};

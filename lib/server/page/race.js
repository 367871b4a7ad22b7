import { denoise } from './client.js';
import { Recording } from './recording.js';
import { draws } from './request.js';

/**
 * @import { DenoiseRequest, Start } from './contract.d.ts'
 * @import { Lane } from './lane.js'
 */

/** Title of the other side of a race. */
export const rivalTitle = 'One token a step';

/** Largest number of steps that a server accepts. */
const maxSteps = 65536;

/**
 * The request that fills the same canvas one token a step, in the order of the reference: lowest entropy first.
 *
 * @param {DenoiseRequest} request
 * @param {Start} start of the run of `request`
 * @returns {DenoiseRequest}
 */
export function rivalOf(request, { tokens, seed }) {
  const masked = tokens.filter((token) => token.masked).length;
  // Half a token per step: with a whole one, rounding would sometimes make a step commit two.
  const steps = Math.min(maxSteps, Math.max(1, 2 * masked));
  return { ...request, schedule: 'entropy', steps, seed };
}

/**
 * Runs a request in a lane, and against it, in another one, the rival that fills the same canvas.
 *
 * @param {DenoiseRequest} request
 * @param {{ lane: Lane, rival: Lane | null, signal: AbortSignal, onOpen: (recording: Recording) => void,
 *   onMessage: () => void }} race no race without a rival; `onOpen` opens the first lane
 * @throws what `denoise` throws, for either
 */
export async function race(request, { lane, rival, signal, onOpen, onMessage }) {
  /** @type {Promise<void> | null} */
  let other = null;
  await follow(request, { lane, signal, onMessage }, (recording) => {
    onOpen(recording);
    if (rival === null) return;
    const against = rivalOf(request, recording.start);
    other = follow(against, { lane: rival, signal, onMessage }, (own) => rival.open(own, lane.puzzle));
    // It is awaited below; until then its failure must not count as an unhandled rejection.
    other.catch(() => {});
  });
  await other;
}

/**
 * @param {DenoiseRequest} request
 * @param {{ lane: Lane, signal: AbortSignal, onMessage: () => void }} run
 * @param {(recording: Recording) => void} onStart
 */
async function follow(request, { lane, signal, onMessage }, onStart) {
  for await (const { event, data } of denoise(request, signal)) {
    if (signal.aborted) return;
    if (event === 'start') onStart(new Recording(data, { draws: draws(request) }));
    else if (event === 'frame') lane.recording?.add(data);
    else if (event === 'end' && lane.recording !== null) lane.recording.end = data;
    onMessage();
  }
}

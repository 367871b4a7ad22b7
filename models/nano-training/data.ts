import { renameSync, writeFileSync } from 'node:fs';
import { Random } from '../../examples/support/random';
import { taskText } from './tasks';

/** Bytes of a training text with its end and pads: a canvas. */
export const canvasLength = 64;
const endOfText = 258;
const pad = 256;

/** Writes a token file (of llm.c's form) of `canvases` texts, each with its end, then pads. */
export function writeCanvases(path: string, canvases: number, seed: number): void {
  const random = new Random(seed);
  const header = new Int32Array(256);
  header.set([20_240_520, 1, canvases * canvasLength]);
  const tokens = new Uint16Array(canvases * canvasLength).fill(pad);
  for (let canvas = 0; canvas < canvases; canvas++) {
    const text = Buffer.from(taskText(random));
    if (text.length >= canvasLength)
      throw new Error(`a text of ${text.length} bytes has no room for its end`);
    tokens.set(text, canvas * canvasLength);
    tokens[canvas * canvasLength + text.length] = endOfText;
  }
  writeFileSync(`${path}.partial`, Buffer.concat([Buffer.from(header.buffer), Buffer.from(tokens.buffer)]));
  renameSync(`${path}.partial`, path);
}

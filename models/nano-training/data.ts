import { renameSync, writeFileSync } from 'node:fs';
import { Random } from '../../examples/support/random';
import { answeredQuestion, questionShares, taskText } from '../../lib/evaluation/nano/questions';

/** Bytes of a training text with its end and pads: a canvas. */
export const canvasLength = 64;
const endOfText = 258;
const pad = 256;

/** A text's bytes with its end, then pads: a canvas of `length` tokens. */
export function canvasOf(text: string, length: number): Uint16Array {
  const bytes = Buffer.from(text);
  if (bytes.length >= length) throw new Error(`a text of ${bytes.length} bytes has no room for its end`);
  const tokens = new Uint16Array(length).fill(pad);
  tokens.set(bytes);
  tokens[bytes.length] = endOfText;
  return tokens;
}

/** Writes a token file (of llm.c's form) of `count` canvases of `length` tokens. */
export function writeTokenFile(path: string, count: number, length: number, next: () => Uint16Array): void {
  const header = new Int32Array(256);
  header.set([20_240_520, 1, count * length]);
  const tokens = new Uint16Array(count * length);
  for (let canvas = 0; canvas < count; canvas++) tokens.set(next(), canvas * length);
  writeFileSync(`${path}.partial`, Buffer.concat([Buffer.from(header.buffer), Buffer.from(tokens.buffer)]));
  renameSync(`${path}.partial`, path);
}

/** Writes `canvases` texts of tasks. */
export function writeTexts(path: string, canvases: number, seed: number): void {
  const random = new Random(seed);
  writeTokenFile(path, canvases, canvasLength, () => canvasOf(taskText(random), canvasLength));
}

/** Writes `canvases` questions with their answers, and the index that says where the answers begin. */
export function writeAnswers(path: string, canvases: number, seed: number, shares = questionShares): void {
  const random = new Random(seed);
  const prompts: number[] = [];
  writeTokenFile(path, canvases, canvasLength, () => {
    const { prompt, completion } = answeredQuestion(random, shares);
    prompts.push(Buffer.byteLength(prompt));
    return canvasOf(prompt + completion, canvasLength);
  });
  const index = {
    format: 1,
    tokens: canvases * canvasLength,
    vocabulary: 0,
    tokenizer: '',
    documents: prompts.map((_, canvas) => canvas * canvasLength),
    prompts,
  };
  writeFileSync(path.replace(/\.bin$/, '.idx.json'), JSON.stringify(index));
}

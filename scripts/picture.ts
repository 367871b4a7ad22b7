/**
 * Writes docs/images/unmasking.svg: the embedded model solves a Sudoku twice, committing all nearly certain cells in
 * each step, and one cell per step. Uses the page's route and the code with which the page saves a run as a picture.
 *
 *     npx tsx scripts/picture.ts [FILE]
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../examples/support/random';
import { DiffusionLM } from '../lib';
import { createServer } from '../lib/server';
import type { DenoiseRequest, RunEvent } from '../lib/server/page/contract';
import { EventStreamParser } from '../lib/server/page/event-stream.js';
import { drawPicture } from '../lib/server/page/picture.js';
import { Recording } from '../lib/server/page/recording.js';
import { makePuzzle, textOf } from '../lib/server/page/sudoku.js';
import { root } from './command';

/** Seed of the puzzle. */
const seed = 25;
const holes = 26;

/** Runs the model through the server and records the events for the picture. */
export async function recordRuns() {
  const random = new Random(seed);
  const puzzle = makePuzzle(6, holes, () => random.below(2 ** 30) / 2 ** 30);
  const text = textOf(puzzle, '___');
  // f32 rounds so little that every CPU takes the same steps.
  const model = await DiffusionLM.load(undefined, { device: 'cpu', dtype: 'f32' });
  const server = await createServer(model);
  try {
    const url = await server.listen({ port: 0 });
    // With twice as many steps as cells, no step of the entropy schedule commits two.
    const record = (request: DenoiseRequest) =>
      recordRun(`${url}/v1/denoise`, {
        text,
        tokens_per_hole: 1,
        steps: 2 * holes,
        temperature: 0,
        seed,
        ...request,
      });
    return [
      {
        title: 'All that is nearly certain',
        puzzle,
        recording: await record({ schedule: { type: 'entropy-bounded', gamma: 0.1 } }),
      },
      { title: 'One token a step', puzzle, recording: await record({ schedule: 'entropy' }) },
    ];
  } finally {
    await server.close();
    await model.dispose();
  }
}

async function recordRun(url: string, request: DenoiseRequest): Promise<Recording> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(request) });
  let recording: Recording | undefined;
  for (const { event, data } of new EventStreamParser().push(await response.text())) {
    const message = { event, data: JSON.parse(data) } as RunEvent;
    if (message.event === 'start') recording = new Recording(message.data);
    if (message.event === 'frame') recording?.add(message.data);
    if (message.event === 'end' && recording !== undefined) recording.end = message.data;
  }
  if (recording === undefined || recording.end === null) throw new Error('the run did not end');
  return recording;
}

async function main(): Promise<void> {
  const file = process.argv[2] ?? join(root, 'docs', 'images', 'unmasking.svg');
  writeFileSync(file, drawPicture(await recordRuns()));
}

if (require.main === module) void main();

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TrainEvent, type TrainOptions, type TrainStep, train } from '../../lib/training';
import { goldenFolder, scratchFolder } from './support';

/** A token file of `count` tokens below 61 with a pattern to learn: each is the one before plus 1, 2 or 3. */
export function writeTokens(path: string, count: number, seed = 1): string {
  const bytes = Buffer.alloc(1024 + 2 * count);
  bytes.writeInt32LE(20_240_520, 0);
  bytes.writeInt32LE(1, 4);
  bytes.writeInt32LE(count, 8);
  let state = seed;
  let token = 4;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    token = 4 + ((token - 4 + 1 + (state >>> 30)) % 57);
    bytes.writeUInt16LE(token, 1024 + 2 * i);
  }
  writeFileSync(path, bytes);
  return path;
}

/** Options of a short run of the golden data's micro model. */
export function microRun(given: Partial<TrainOptions> = {}): TrainOptions {
  const folder = scratchFolder();
  return {
    model: goldenFolder('micro', 'config.json'),
    output: join(folder, 'run'),
    data: writeTokens(join(folder, 'train.bin'), 4000),
    steps: 12,
    batch: 8,
    sequenceLength: 16,
    learningRate: 3e-3,
    threads: 1,
    tensorBoard: false,
    ...given,
  };
}

/** All events of a run. */
export async function eventsOf(options: Parameters<typeof train>[0]): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of train(options)) events.push(event);
  return events;
}

/** What steps and evaluations say, without what depends on the clock. */
export function numbersOf(events: readonly TrainEvent[]): object[] {
  return events.flatMap((event) => {
    if (event.type !== 'step' && event.type !== 'evaluation') return [];
    const { milliseconds: _, ...rest } = event;
    const { tokensPerSecond: __, memoryBytes: ___, ...numbers } = rest as Partial<TrainStep>;
    return [numbers];
  });
}

/** The newest checkpoint's weights, moments and state. */
export function checkpointOf(run: string): { readonly name: string; readonly files: readonly string[] } {
  const name = readFileSync(join(run, 'latest'), 'utf8').trim();
  const read = (file: string) => readFileSync(join(run, name, file)).toString('base64');
  return { name, files: ['model.safetensors', 'optimizer.safetensors'].map(read) };
}

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ResumeOptions, type TrainEvent, train } from '../../lib/training';
import { checkpointOf, eventsOf, microRun, numbersOf, writeTokens } from './runs';
import { closeTrainers } from './support';

afterEach(closeTrainers);

const evaluated = (options: ReturnType<typeof microRun>) => ({
  ...options,
  evaluation: { data: writeTokens(`${options.output}-eval.bin`, 500, 2), every: 5, canvases: 8 },
});

/** The events until `stop` says that the signal aborts. */
async function interrupted(
  options: Parameters<typeof train>[0],
  stop: (event: TrainEvent) => boolean,
): Promise<TrainEvent[]> {
  const controller = new AbortController();
  const events: TrainEvent[] = [];
  for await (const event of train({ ...options, signal: controller.signal })) {
    events.push(event);
    if (stop(event)) controller.abort(new Error('enough'));
  }
  return events;
}

/** Numbers of the metrics file, one line a step. */
function metricsOf(run: string): object[] {
  return readFileSync(join(run, 'metrics.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { time: _, tokens_per_second: __, step_ms: ___, memory: ____, ...numbers } = JSON.parse(line);
      const { eval_ms: _____, ...rest } = numbers;
      return rest;
    });
}

describe('a resumed run', () => {
  it('has the bits and the metrics of one that was not interrupted', async () => {
    const whole = evaluated(
      microRun({ steps: 14, saveEvery: 4, weighting: 'elbo', noiseScale: true, microBatch: 4 }),
    );
    const expected = numbersOf(await eventsOf(whole));
    const parts = { ...whole, output: `${whole.output}-parts` };
    const events = await interrupted(parts, ({ type, step }) => type === 'step' && step === 6);
    expect(events.at(-1)).toMatchObject({ type: 'done', step: 6, complete: false });
    const resume = parts.output;
    events.push(
      ...(await interrupted(
        { resume, threads: 2 },
        ({ type, step }) => type === 'evaluation' && step === 10,
      )),
    );
    events.push(...(await eventsOf({ resume })));
    expect(events.at(-1)).toMatchObject({ type: 'done', step: 14, complete: true });
    expect(numbersOf(events)).toEqual(expected);
    expect(checkpointOf(parts.output)).toEqual(checkpointOf(whole.output));
    expect(metricsOf(parts.output)).toEqual(metricsOf(whole.output));
  });

  it('goes on from the newest whole checkpoint if the process just ended', async () => {
    const whole = microRun({ steps: 9, saveEvery: 3 });
    await eventsOf(whole);
    const parts = { ...whole, output: `${whole.output}-parts` };
    for await (const event of train(parts)) if (event.step === 5) break;
    expect(readFileSync(join(parts.output, 'latest'), 'utf8')).toBe('checkpoint-3\n');
    // What an interrupted save leaves.
    mkdirSync(join(parts.output, 'checkpoint-6.partial-1234'));
    cpSync(join(parts.output, 'checkpoint-3'), join(parts.output, 'checkpoint-4'), { recursive: true });
    const events = await eventsOf({ resume: parts.output });
    expect(events[0]).toMatchObject({ type: 'step', step: 4 });
    expect(checkpointOf(parts.output)).toEqual(checkpointOf(whole.output));
    expect(metricsOf(parts.output)).toEqual(metricsOf(whole.output));
    expect(
      readdirSync(parts.output)
        .filter((name) => name.startsWith('checkpoint'))
        .sort(),
    ).toEqual(['checkpoint-3', 'checkpoint-6', 'checkpoint-9']);
  });

  it('makes up for an evaluation that an abort has prevented', async () => {
    const whole = evaluated(microRun({ steps: 6 }));
    const expected = numbersOf(await eventsOf(whole));
    const parts = { ...whole, output: `${whole.output}-parts` };
    const events = await interrupted(parts, ({ type, step }) => type === 'step' && step === 5);
    expect(events.filter(({ type }) => type === 'evaluation')).toHaveLength(1);
    events.push(...(await eventsOf({ resume: parts.output })));
    expect(numbersOf(events)).toEqual(expected);
    expect(metricsOf(parts.output)).toEqual(metricsOf(whole.output));
  });

  it('begins anew if there was no checkpoint', async () => {
    const whole = evaluated(microRun({ steps: 3 }));
    const expected = numbersOf(await eventsOf(whole));
    const parts = { ...whole, output: `${whole.output}-parts` };
    for await (const event of train(parts)) if (event.step === 2) break;
    expect(numbersOf(await eventsOf({ resume: parts.output }))).toEqual(expected);
    expect(metricsOf(parts.output)).toEqual(metricsOf(whole.output));
  });

  it('has nothing to do when it is complete', async () => {
    const { output, ...options } = microRun({ steps: 2 });
    await eventsOf({ ...options, output });
    expect(await eventsOf({ resume: output })).toEqual([
      { type: 'done', step: 2, steps: 2, checkpoint: join(output, 'checkpoint-2'), complete: true },
    ]);
  });

  it('can go on for more steps at a constant rate', async () => {
    const options = microRun({ steps: 4, saveEvery: 2 });
    const longer = { ...options, output: `${options.output}-longer`, steps: 6 };
    await eventsOf(options);
    await eventsOf({ resume: options.output, steps: 6 });
    await eventsOf(longer);
    expect(checkpointOf(options.output)).toEqual(checkpointOf(longer.output));
  });
});

describe('what cannot be resumed', () => {
  const begun = async (given: Parameters<typeof microRun>[0] = {}) => {
    const options = microRun({ steps: 4, saveEvery: 2, ...given });
    for await (const event of train(options)) if (event.type === 'step' && event.step === 3) break;
    return options;
  };
  const refused = (given: ResumeOptions) =>
    eventsOf(given).then(
      () => '',
      (error: Error) => error.message,
    );

  it('names changed data, and takes the same data from another place', async () => {
    const { output: resume, data } = await begun();
    const moved = `${resume}-moved`;
    mkdirSync(moved);
    cpSync(data as string, join(moved, 'train.bin'));
    rmSync(data as string);
    expect(await refused({ resume })).toContain('train.bin');
    writeTokens(join(moved, 'other.bin'), 3000, 9);
    expect(await refused({ resume, data: join(moved, 'other.bin') })).toMatch(
      /data differs in .*allowChanged/,
    );
    expect(await refused({ resume, data: join(moved, 'train.bin') })).toBe('');
  });

  it('names a changed number of steps unless the rate is constant', async () => {
    const { output: resume } = await begun({ schedule: { kind: 'linear' } });
    expect(await refused({ resume, steps: 6 })).toMatch(/steps was 4, and is 6.*allowChanged/);
    expect(await refused({ resume, steps: 6, allowChanged: true })).toBe('');
  });

  it.each(['model.safetensors', 'optimizer.safetensors'])('names a damaged %s', async (name) => {
    const { output: resume } = await begun();
    const path = join(resume, 'checkpoint-2', name);
    const bytes = readFileSync(path);
    bytes[bytes.length - 5] = (bytes[bytes.length - 5] as number) ^ 1;
    writeFileSync(path, bytes);
    expect(await refused({ resume })).toMatch(
      new RegExp(`${name} is not as it was saved: its SHA-256 differs`),
    );
    writeFileSync(path, bytes.subarray(0, -4));
    expect(await refused({ resume })).toMatch(
      /is not as it was saved: it has \d+ bytes instead of|truncated|bytes/,
    );
  });

  it('names a folder that holds no run, and a run without the state of the optimizer', async () => {
    const { output, model } = await begun({ saveOnlyModel: true });
    expect(existsSync(join(output, 'checkpoint-2', 'trainer_state.json'))).toBe(false);
    expect(await refused({ resume: output })).toMatch(
      /trainer_state\.json is missing: there is nothing to resume/,
    );
    expect(await refused({ resume: model })).toMatch(/has no run\.json: it is not the folder of a run/);
    expect(await refused({ resume: output, batch: 3 } as ResumeOptions)).toMatch(/options has no 'batch'/);
  });
});

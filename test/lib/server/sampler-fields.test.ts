import { createServer, type Server } from '../../../lib/server';
import { openFamily } from '../../support/families';
import { closeModels } from '../../support/models';
import { samplerOptions } from '../../support/sampler-options';

const prefix = [17, 230, 5, 99, 41, 8];
const masked = Array.from({ length: 24 }, (_, i) => prefix.length + i);
const given = { tokens: [...prefix, ...masked.map(() => 0)], masked, seed: 5 };

let server: Server;
let url = '';
beforeAll(async () => {
  server = await createServer(await openFamily('tiny-llada'), { page: false, shutdownTimeout: 0 });
  url = await server.listen({ port: 0 });
});
afterAll(async () => {
  await server.close();
  await closeModels();
});

const denoise = (fields: Readonly<Record<string, unknown>>) =>
  fetch(`${url}/v1/denoise`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...given, ...fields }),
  });

/** Data of the events of a stream. */
const dataOf = (text: string) =>
  text.split('\n').flatMap((line) => (line.startsWith('data: {') ? [JSON.parse(line.slice(6))] : []));

test.each(samplerOptions)('$fields', async ({ options, fields }) => {
  const answer = await denoise(fields);
  expect(answer.status).toBe(200);
  const events = dataOf(await answer.text());
  const tokens = Int32Array.from(given.tokens);
  const edited: number[] = [];
  for (const { committed = [] } of events) {
    for (const { position, id } of committed) {
      if (tokens[position] !== 0) edited.push(position);
      tokens[position] = id;
    }
  }
  const model = await openFamily('tiny-llada');
  const call = { canvas: given.tokens, masked, seed: 5, ...options };
  const expected = await model.generateTokens(call);
  expect([...tokens]).toEqual([...expected.tokens]);
  expect(events.at(-1).usage.steps).toBe(expected.forwards);
  expect(edited.length > 0).toBe('editing' in options);
});

test.each<[Record<string, unknown>, string | null, string]>([
  [{ cfg_scale: -1 }, 'cfg_scale', 'cfg_scale must be'],
  [{ alg_temp: 'x' }, 'alg_temp', 'alg_temp must be'],
  [{ counts: 'some' }, 'counts', 'counts must be'],
  [{ editing: ['x'] }, 'editing', "editing must be an object, not [ 'x' ]"],
  [{ editing: {} }, 'editing.threshold', 'editing.threshold is missing'],
  [{ editing: { threshold: 2 } }, 'editing.threshold', 'editing.threshold must be a number from 0 to 1'],
  [{ cache: true }, 'cache', 'cache must be'],
  [{ refresh: 0 }, 'refresh', 'refresh must be'],
  [{ refresh: 2 }, 'refresh', 'refresh needs cache'],
  [{ cache: 'dual', cfg_scale: 1 }, null, 'cfg_scale exclude each other'],
  [{ alg_temp: 1, schedule: { type: 'threshold', tau: 0.5 } }, 'alg_temp', 'alg_temp needs a schedule'],
  [{ schedule: { type: 'threshold', tau: 0.5, at_least: 0 } }, 'schedule', 'schedule.at_least must be'],
  [{ schedule: { type: 'blocks', length: 4, window: 'all' } }, 'schedule', 'schedule.window must be'],
])('%j is refused', async (fields, param, problem) => {
  const answer = await denoise(fields);
  expect(answer.status).toBe(400);
  const { error } = (await answer.json()) as { error: { param: string | null; message: string } };
  expect(error.message).toContain(problem);
  if (param !== null) expect(error.param).toBe(param);
});

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RedisServer, redisProgram } from '../../support/redis';
import { startWorker, stopWorkers } from './queue-workers';
import { rnd1, root, scratchFolder } from './rnd1';

const scratch = scratchFolder();
test('flags of the model are the workers’', async () => {
  for (const [args, message] of [
    [['--queue', 'redis://host', '--model', 'm'], '--queue and --model exclude each other'],
    [['--queue', 'redis://host', '--revision', 'main'], '--queue and --revision exclude each other'],
    [['--chunk', '4'], '--chunk needs --queue'],
  ] as const) {
    const { code, stderr } = await rnd1(['eval', '--tasks', 'nano', ...args]);
    expect([code, stderr.trimEnd()]).toEqual([2, `rnd1: ${message}`]);
  }
});

if (redisProgram === null) {
  process.stderr.write('SKIPPED: evaluation by workers; there is neither redis-server nor valkey-server\n');
} else {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterEach(stopWorkers);
  afterAll(() => server.stop());

  const undated = (text: string) => text.replace(/"date": [\d.]+/, '"date": 0');

  /** The lines of all files, in an order of their own: answers come in any. */
  const contents = (folder: string) =>
    readdirSync(folder)
      .sort()
      .map((name) => [
        name,
        undated(readFileSync(join(folder, name), 'utf8'))
          .split('\n')
          .sort(),
      ]);

  test('two workers give the folder and the table of one process', async () => {
    const tasks = ['eval', '--tasks', 'nano', '--limit', '20', '--steps', '8', '--quiet'];
    const sampled = [...tasks, '--temperature', '0.7', '--seed', '3'];
    startWorker(server.url, 'table');
    startWorker(server.url, 'table');
    const queue = ['--queue', server.url, '--queue-name', 'table', '--chunk', '4'];
    const [here, there] = [scratch('here'), scratch('there')];
    const one = await rnd1([...sampled, '--output', here]);
    expect(one).toMatchObject({ code: 0, stderr: '' });
    expect(await rnd1([...sampled, ...queue, '--output', there])).toEqual(one);
    expect(contents(there)).toEqual(contents(here));
    // Likelihoods, whose masks are random.
    const choices = ['eval', '--tasks', 'arc_challenge', '--mc', '4', '--mc-batch', '4', '--shots', '0'];
    const data = join(root, 'test', 'fixtures', 'evaluation', 'docs');
    const estimated = [...choices, '--data', data, '--limit', '10', '--quiet', '--json'];
    const local = await rnd1(estimated);
    expect(local).toMatchObject({ code: 0, stderr: '' });
    const queued = await rnd1([...estimated, ...queue]);
    expect(undated(queued.stdout)).toBe(undated(local.stdout));
  });

  test('an evaluation goes on with workers where one process was interrupted', async () => {
    startWorker(server.url, 'resumed');
    const tasks = ['eval', '--tasks', 'nano_add', '--limit', '12', '--steps', '2', '--quiet'];
    const folder = scratch('resumed');
    const whole = await rnd1([...tasks, '--output', folder]);
    const answers = join(folder, 'answers.jsonl');
    const lines = readFileSync(answers, 'utf8').split('\n');
    writeFileSync(answers, lines.slice(0, 5).join('\n'));
    const queue = ['--queue', server.url, '--queue-name', 'resumed'];
    expect(await rnd1([...tasks, ...queue, '--output', folder])).toEqual(whole);
    expect(readFileSync(answers, 'utf8').split('\n').sort()).toEqual([...lines].sort());
  });

  test('errors of a model that is elsewhere are those of one here', async () => {
    startWorker(server.url, 'errors');
    const tasks = ['eval', '--tasks', 'nano_add', '--limit', '2', '--max-new-tokens', '1000000', '--quiet'];
    const here = await rnd1(tasks);
    expect(here).toMatchObject({ code: 2, stdout: '' });
    expect(await rnd1([...tasks, '--queue', server.url, '--queue-name', 'errors'])).toEqual(here);
  });

  test('workers with different models are refused', async () => {
    startWorker(server.url, 'mixed', '--dtype', 'q8');
    startWorker(server.url, 'mixed', '--dtype', 'bf16');
    const tasks = ['eval', '--tasks', 'nano', '--limit', '40', '--steps', '2', '--quiet'];
    const { code, stderr } = await rnd1([
      ...tasks,
      ...['--queue', server.url, '--queue-name', 'mixed', '--chunk', '1'],
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^rnd1: a worker has another model: checkpoint \w{16} with (q8|bf16) weights in /);
  });
}

/**
 * Load on `rnd1 serve`: autocannon's connections send one question after another, `--requests` in all, at rising
 * concurrency. Every answer is compared with that of the same request alone; a difference ends the run.
 *
 *     npx tsx bench/serve.ts [--model FOLDER] [--device cpu] [--dtype auto] [--threads N] [--connections 1,8,32]
 *         [--requests 200] [--max-tokens 31] [--steps 8] [--stream] [--json FILE]
 *
 * Server and load share one process: the figures are a lower bound.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { type Device, DiffusionLM, type DType, type StepReport } from '../lib';
import { formatSeconds, formatTable } from '../lib/bench/units';
import { createServer } from '../lib/server';
import { runMain } from './support/main';
import { circumstances, writeJson } from './support/record';

interface LoadFigure {
  readonly connections: number;
  readonly requests: number;
  readonly requestsPerSecond: number;
  /** In seconds. */
  readonly latency: Readonly<Record<'p50' | 'p90' | 'p99' | 'max', number>>;
  readonly tokensPerSecond: number;
  /** Average number of canvases per step. */
  readonly canvasesPerStep: number;
}

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    device: { type: 'string', default: 'cpu' },
    dtype: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: String(availableParallelism()) },
    connections: { type: 'string', default: '1,8,32' },
    requests: { type: 'string', default: '200' },
    'max-tokens': { type: 'string', default: '31' },
    steps: { type: 'string', default: '8' },
    stream: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});

function positive(
  name: 'threads' | 'connections' | 'max-tokens' | 'steps' | 'requests',
  text = values[name],
) {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`--${name} must be a positive integer, not '${text}'`);
}

/** Questions of different lengths, so that canvases that share a step differ. */
const questions = [
  'What is 47+38?',
  'Sort z k m q',
  'Reverse lantern',
  'What is 92-5?',
  'Sort f y j a b l u q',
];

interface Asked {
  readonly body: string;
  /** The answer when the request runs alone. */
  readonly text: string;
}

async function ask(url: string, body: string): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body });
  if (!response.ok) throw new Error(`the server answers ${response.status}: ${await response.text()}`);
  return textOf(await response.text());
}

/** The text of an answer, whole or streamed. */
function textOf(body: string): string {
  if (!values.stream) return JSON.parse(body).choices[0].message.content;
  const chunks = [...body.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data as string));
  return chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
}

function requests(): string[] {
  return questions.flatMap((content, i) =>
    [0, 0.8].map((temperature) =>
      JSON.stringify({
        messages: [{ role: 'user', content }],
        max_tokens: positive('max-tokens'),
        steps: positive('steps'),
        temperature,
        seed: i,
        stream: values.stream,
      }),
    ),
  );
}

async function load(
  url: string,
  model: DiffusionLM,
  asked: readonly Asked[],
  connections: number,
): Promise<LoadFigure> {
  const steps: StepReport[] = [];
  const unwatch = model.onStep((report) => steps.push(report));
  const differing = new Set<string>();
  const result = await autocannon({
    url: `${url}/v1/chat/completions`,
    connections,
    amount: Math.max(connections, positive('requests')),
    // Connections begin at different questions.
    setupClient: (client) =>
      client.setRequests(rotated(asked, Math.floor(Math.random() * asked.length), differing)),
  });
  unwatch();
  const failed = result.errors + result.timeouts + result.non2xx;
  if (failed > 0) throw new Error(`${failed} of ${result.requests.total} requests failed`);
  if (differing.size > 0)
    throw new Error(`answers differ from those of the same request alone:\n${[...differing].join('\n')}`);
  const sum = (pick: (report: StepReport) => number) =>
    steps.reduce((total, report) => total + pick(report), 0);
  const { p50, p90, p99, max } = result.latency;
  return {
    connections,
    requests: result.requests.total,
    requestsPerSecond: result.requests.total / result.duration,
    latency: { p50: p50 / 1000, p90: p90 / 1000, p99: p99 / 1000, max: max / 1000 },
    tokensPerSecond: sum(({ committed }) => committed) / result.duration,
    canvasesPerStep: sum(({ canvases }) => canvases) / Math.max(1, steps.length),
  };
}

function rotated(asked: readonly Asked[], first: number, differing: Set<string>): autocannon.Request[] {
  return [...asked.slice(first), ...asked.slice(0, first)].map(({ body, text }) => ({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    onResponse: (status, answer) => {
      if (status === 200 && textOf(answer) !== text) differing.add(`${body}: ${answer}`);
    },
  }));
}

function print(figures: readonly LoadFigure[]): void {
  const rows = figures.map((figure) => [
    String(figure.connections),
    String(figure.requests),
    figure.requestsPerSecond.toFixed(1),
    ...Object.values(figure.latency).map(formatSeconds),
    figure.tokensPerSecond.toFixed(0),
    figure.canvasesPerStep.toFixed(1),
  ]);
  const header = [
    'connections',
    'requests',
    'requests/s',
    'p50',
    'p90',
    'p99',
    'max',
    'tokens/s',
    'canvases/step',
  ];
  process.stdout.write(`${formatTable(header, rows)}\n`);
}

runMain(async () => {
  const connections = values.connections.split(',').map((text) => positive('connections', text));
  const { device, dtype } = values;
  const model = await DiffusionLM.load(values.model, {
    device: device as Device,
    dtype: dtype as DType,
    threads: positive('threads'),
  });
  const server = await createServer(model, { page: false, maxRunning: 256, maxPerClient: 1024 });
  try {
    const url = await server.listen({ port: 0 });
    const asked: Asked[] = [];
    for (const body of requests()) asked.push({ body, text: await ask(url, body) });
    const figures: LoadFigure[] = [];
    for (const count of connections) figures.push(await load(url, model, asked, count));
    print(figures);
    process.stdout.write(`${asked.length} different requests: every answer equals the one given alone\n`);
    if (values.json !== undefined)
      writeJson(values.json, {
        bench: 'serve',
        ...circumstances(device),
        device: model.info.device,
        figures,
      });
  } finally {
    await server.close();
    await model.dispose();
  }
});

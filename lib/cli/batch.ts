import type { Command } from 'commander';
import { pauseBetweenAttempts as pause, withAttempts } from '../batch/attempts';
import type { Answer } from '../batch/outcome';
import { Batch, type BatchProgress } from '../batch/run';
import { printableName } from '../support/printable';
import { BatchBar } from './batch-bar';
import { integer, templateOption } from './input';
import { Interrupted, Interruption } from './interrupt';
import { type LineServerFlags, withLineServer } from './line-server';
import { seconds } from './loading';
import {
  addModelOptions,
  chatTemplateOption,
  maxCanvasOption,
  maxRowsOption,
  promptTimeoutOption,
  verboseHelp,
} from './options';
import {
  addQueueOptions,
  checkQueueFlags,
  loadingFlags,
  openQueue,
  type QueueFlags,
  waitingForWorkers,
} from './queue';

interface BatchFlags extends Omit<LineServerFlags, 'maxRunning'>, QueueFlags {
  readonly unordered?: boolean;
  readonly chatTemplate?: string;
  readonly maxRunning?: number;
  readonly attempts?: number;
}

/** Canvases that are denoised at the same time, without workers. */
const runningHere = 64;

/** Flags of what answers lines, which are the workers' with --queue. */
const workersFlags = [
  ...['name', 'chatTemplate', 'maxRowsPerStep', 'maxCanvasTokens', 'promptTimeout', 'attempts'],
  ...loadingFlags,
  ...['cacheDir', 'token'],
];

const manual = `
Files:
  Each line of the input is a JSON object, as in OpenAI's batches:
    {"custom_id": "1", "method": "POST", "url": "/v1/completions",
     "body": {"prompt": "Question: What is 47+38?\\nAnswer:"}}
  url is /v1/chat/completions, /v1/completions, /v1/infill or /v1/fill, and body
  what these endpoints of \`rnd1 serve\` take (docs/server.md). Every line needs a
  custom_id of its own. All lines are checked before the model is loaded.
  A line of the output is {"id", "custom_id", "response": {"status_code",
  "request_id", "body"}, "error"}. A request that fails is a line with its
  error, and the others go on. The same line always gives the same bytes:
  without a seed, its seed is made of its custom_id, and \`created\` is 0.

Several hosts:
  With --queue the lines are answered by \`rnd1 worker\` on as many hosts as there
  are, by way of a server of Redis or Valkey; no model is loaded here. Lines
  travel in chunks whose canvases share forward passes. Needs the packages
  bullmq and ioredis: npm install bullmq ioredis.

After an interruption:
  The same command goes on where the output ends, also after kill -9 or a power
  cut; no line is lost or there twice. docs/batch.md has the details.

Exit codes:
  0 every line is in the output, those with errors too; 1 failure, 2 wrong
  usage, 130 interrupted (143 by SIGTERM, 129 by SIGHUP).

Examples:
  $ rnd1 batch examples/batch.jsonl answers.jsonl
  $ rnd1 batch examples/batch.jsonl unordered.jsonl --unordered --max-running 8`;

/** `rnd1 batch` */
export function addBatch(program: Command): void {
  const command = program
    .command('batch')
    .summary('answer a file of requests')
    .description("Answers a file of requests in OpenAI's batch format, many at a time.")
    .argument('<in>', 'file of requests, one JSON object per line')
    .argument('<out>', 'file of answers: a new one, or that of an interrupted run')
    .optionsGroup('Batch:')
    .option('--unordered', 'write each answer as soon as it is there, not in the order of the requests')
    .option(
      '--attempts <count>',
      'how often a request is tried that runs out of memory or fails in the model (default: 3)',
      integer(1),
    )
    .option('--name <name>', 'model name in requests (default: its folder or its name on the hub)')
    .option(...chatTemplateOption)
    .option(
      '--max-running <count>',
      `canvases denoised at the same time (default: ${runningHere}; with --queue ${waitingForWorkers} that wait for workers)`,
      integer(1),
    )
    .option(...maxRowsOption)
    .option(...maxCanvasOption)
    .option(...promptTimeoutOption)
    .option('-q, --quiet', 'print nothing but errors')
    .option('--verbose', verboseHelp);
  addQueueOptions(command, 'lines');
  addModelOptions(command);
  command.addHelpText('after', manual).action(batch);
}

async function batch(input: string, output: string, flags: BatchFlags): Promise<void> {
  checkQueueFlags(flags, workersFlags);
  using interruption = new Interruption();
  const { signal } = interruption;
  const bar = flags.quiet ? null : new BatchBar(process.stderr);
  bar?.begin(`checking ${printableName(input)}`);
  const files = await Batch.open({ input, output, ordered: !flags.unordered }, signal).finally(() =>
    bar?.close(),
  );
  const start = performance.now();
  let { progress } = files;
  try {
    if (progress.done < progress.total) {
      await withAnswers(flags, signal, async (answer, canvases) => {
        const onProgress = (each: BatchProgress) => {
          progress = each;
          bar?.update(each);
        };
        await files.run({ answer, canvases, signal, onProgress });
      }).finally(() => bar?.close());
    }
  } catch (error) {
    if (error instanceof Interrupted && !flags.quiet) {
      process.stderr.write(`rnd1: ${interrupted(progress)}\n`);
    }
    throw error;
  } finally {
    await files.close();
  }
  if (!flags.quiet) process.stdout.write(`${printableName(output)}: ${summary(progress, start)}\n`);
}

/** Gives `work` what answers a line, here or on other hosts, and how many it may ask for at the same time. */
async function withAnswers(
  flags: BatchFlags,
  signal: AbortSignal,
  work: (answer: Answer, canvases: number) => Promise<void>,
): Promise<void> {
  if (flags.queue !== undefined) {
    const queue = await openQueue(flags.queue, flags);
    return work(queue.answer, flags.maxRunning ?? waitingForWorkers).finally(() => queue.close());
  }
  const { maxRunning = runningHere, attempts = 3 } = flags;
  const chatTemplate = await templateOption(flags.chatTemplate);
  return withLineServer({ ...flags, maxRunning }, chatTemplate, signal, (answer) =>
    work(withAttempts(answer, { attempts, pause }), maxRunning),
  );
}

/** `1,204 of 2,000 lines are answered; the same command goes on` */
function interrupted({ done, total }: BatchProgress): string {
  return `${done} of ${total} lines are answered; the same command goes on`;
}

/** `2000 lines, 3 with errors, 1200 of an earlier run; 8000 tokens in 10.20 s, 784.3 tokens/s` */
function summary({ total, failed, resumed, tokens }: BatchProgress, start: number): string {
  const time = (performance.now() - start) / 1000;
  return [
    `${total} ${total === 1 ? 'line' : 'lines'}`,
    ...(failed > 0 ? [`${failed} with errors`] : []),
    ...(resumed > 0 ? [`${resumed} of an earlier run`] : []),
    ...(resumed < total
      ? [`${tokens} tokens in ${seconds(start)}, ${(tokens / time).toFixed(1)} tokens/s`]
      : []),
  ].join(', ');
}

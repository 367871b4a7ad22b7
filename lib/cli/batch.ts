import type { Command } from 'commander';
import { withAttempts } from '../batch/attempts';
import { longestLine } from '../batch/json-lines';
import type { Answer } from '../batch/outcome';
import { Batch, type BatchProgress } from '../batch/run';
import type { DiffusionLM } from '../index';
import { printableName } from '../support/printable';
import { BatchBar } from './batch-bar';
import { integer, type TemplateOption, templateOption } from './input';
import { Interrupted, Interruption } from './interrupt';
import { loadModel, seconds } from './loading';
import {
  addModelOptions,
  chatTemplateOption,
  type ModelFlags,
  maxCanvasOption,
  maxRowsOption,
  promptTimeoutOption,
  verboseHelp,
} from './options';

interface BatchFlags extends ModelFlags {
  readonly unordered?: boolean;
  readonly name?: string;
  readonly chatTemplate?: string;
  readonly maxRunning: number;
  readonly maxRowsPerStep?: number;
  readonly maxCanvasTokens?: number;
  readonly promptTimeout?: number;
  readonly attempts: number;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

/** Milliseconds before a line that failed is answered again. */
const pause = 1000;

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
      'how often a request is tried that runs out of memory or fails in the model',
      integer(1),
      3,
    )
    .option('--name <name>', 'model name in requests (default: its folder or its name on the hub)')
    .option(...chatTemplateOption)
    .option('--max-running <count>', 'canvases denoised at the same time', integer(1), 64)
    .option(...maxRowsOption)
    .option(...maxCanvasOption)
    .option(...promptTimeoutOption)
    .option('-q, --quiet', 'print nothing but errors')
    .option('--verbose', verboseHelp);
  addModelOptions(command);
  command.addHelpText('after', manual).action(batch);
}

async function batch(input: string, output: string, flags: BatchFlags): Promise<void> {
  const chatTemplate = await templateOption(flags.chatTemplate);
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
      await withServer(flags, chatTemplate, signal, async (answer) => {
        const onProgress = (each: BatchProgress) => {
          progress = each;
          bar?.update(each);
        };
        const { maxRunning: canvases, attempts } = flags;
        await files.run({ answer: withAttempts(answer, { attempts, pause }), canvases, signal, onProgress });
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

/** Loads the model and gives `work` what answers a line: the routes of a server that does not listen. */
async function withServer(
  flags: BatchFlags,
  chatTemplate: TemplateOption,
  signal: AbortSignal,
  work: (answer: Answer) => Promise<void>,
): Promise<void> {
  const model: DiffusionLM = await loadModel(flags, signal);
  try {
    // Loaded here, so that other commands start without the HTTP dependencies.
    const { createServer } = require('../server') as typeof import('../server');
    const { lineAnswers } = require('../server/batch-lines') as typeof import('../server/batch-lines');
    const { name, maxRunning, maxCanvasTokens } = flags;
    const server = await createServer(model, {
      modelName: name,
      chatTemplate,
      page: false,
      maxRunning,
      maxQueued: maxRunning,
      // There is one client.
      maxPerClient: 2 * maxRunning,
      maxBodyBytes: longestLine,
      maxCanvasTokens,
      shutdownTimeout: 0,
    });
    try {
      await work(lineAnswers(server.app, ''));
    } finally {
      await server.close();
    }
  } finally {
    await model.dispose();
  }
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

import type { Command } from 'commander';
import { pauseBetweenAttempts as pause, withAttempts } from '../batch/attempts';
import { withoutPassword } from '../batch/queue/redis';
import { work } from '../batch/queue/worker';
import { printableName } from '../support/printable';
import { evaluationAnswers } from './eval-lines';
import { integer, templateOption, UsageError } from './input';
import { Interruption } from './interrupt';
import { type LineServerFlags, withLineServer } from './line-server';
import {
  addModelOptions,
  chatTemplateOption,
  maxCanvasOption,
  maxRowsOption,
  promptTimeoutOption,
  verboseHelp,
} from './options';
import { defaultQueue, queueNameOption, queueOption } from './queue';

interface WorkerFlags extends LineServerFlags {
  readonly queue?: string;
  readonly queueName?: string;
  readonly chatTemplate?: string;
  readonly chunks: number;
  readonly attempts: number;
  readonly lockSeconds: number;
  readonly exitWhenIdle?: number;
}

const manual = `
A worker answers lines that \`rnd1 batch --queue\` has put into a queue, and
documents of \`rnd1 eval --queue\`, with a model of its own. Start as many as you
like, on as many hosts; all must have the same model. The same line gives the
same bytes, whichever worker answers it.

A chunk that a worker has begun is its own for --lock-seconds, which it renews
while it works. If the worker is killed, cut off or paused, another begins the
chunk again after that time; nothing is lost or there twice. A chunk that was
begun --attempts times is taken apart, and a line that fails alone as often is
an error in the output.

Interrupted (Ctrl-C, SIGTERM), a worker finishes the chunks that it has begun.

Exit codes:
  0 idle for as long as --exit-when-idle says; 1 failure, 2 wrong usage, 130
  interrupted (143 by SIGTERM, 129 by SIGHUP).

Examples:
  $ rnd1 worker --queue redis://127.0.0.1:6379 --exit-when-idle 60`;

/** `rnd1 worker` */
export function addWorker(program: Command): void {
  const command = program
    .command('worker')
    .summary('answer lines of batches and evaluations from a queue')
    .description('Answers lines of batches and documents of evaluations that wait in a queue.')
    .optionsGroup('Queue:')
    .option(...queueOption)
    .option(...queueNameOption)
    .option('--chunks <count>', 'chunks answered at the same time', integer(1), 4)
    .option('--attempts <count>', 'how often a chunk is begun before it has failed', integer(1), 3)
    .option('--lock-seconds <count>', 'seconds after which a dead worker has lost its chunks', integer(1), 30)
    .option('--exit-when-idle <seconds>', 'end when there was nothing to do (default: never)', integer(1))
    .optionsGroup('Answers:')
    .option('--name <name>', 'model name in requests (default: its folder or its name on the hub)')
    .option(...chatTemplateOption)
    .option('--max-running <count>', 'canvases denoised at the same time', integer(1), 64)
    .option(...maxRowsOption)
    .option(...maxCanvasOption)
    .option(...promptTimeoutOption)
    .option('-q, --quiet', 'print nothing but errors')
    .option('--verbose', verboseHelp);
  addModelOptions(command);
  command.addHelpText('after', manual).action(worker);
}

async function worker(flags: WorkerFlags): Promise<void> {
  const { queue: url, queueName: name = defaultQueue, chunks, attempts, lockSeconds, quiet } = flags;
  if (url === undefined) throw new UsageError('--queue is needed: redis://host:6379');
  const chatTemplate = await templateOption(flags.chatTemplate);
  using interruption = new Interruption();
  const { signal } = interruption;
  let lines = 0;
  await withLineServer(flags, chatTemplate, signal, async (answerLine, model) => {
    if (!quiet)
      process.stderr.write(
        `rnd1: waiting for lines of ${printableName(`${withoutPassword(url)} ${name}`)}\n`,
      );
    const answer = evaluationAnswers(model, flags.model, answerLine);
    await work({
      url,
      name,
      answer: withAttempts(answer, { attempts, pause }),
      chunks,
      attempts,
      lockSeconds,
      idleSeconds: flags.exitWhenIdle ?? null,
      onChunk: (count) => {
        lines += count;
      },
      signal,
    });
  });
  if (!quiet) process.stdout.write(`${lines} ${lines === 1 ? 'line' : 'lines'} answered\n`);
  signal.throwIfAborted();
}

import type { Command } from 'commander';
import { printableJson, printableName } from '../support/printable';
import {
  train as events,
  type ResumeOptions,
  readTrainConfig,
  type TrainDone,
  type TrainOptions,
} from '../training';
import { UsageError } from './input';
import { Interrupted, Interruption } from './interrupt';
import { cappedThreads } from './loading';
import { addTrainOptions, controlOf, filesOf, type TrainFlags, trainOptionsOf } from './train-flags';
import { TrainView } from './train-view';

const manual = `
The model is the folder of a checkpoint: of \`rnd1 init\`, of \`rnd1 convert\`, or
a published one that fits in memory four times in f32. The run's folder holds
checkpoints, each a model folder like any other, metrics.jsonl, and events for
TensorBoard; \`rnd1 plot\` draws its curves.

--recipe scp is simple continual pretraining: masked diffusion, warm-up over 2 %
of the steps, decay over the last 20 %, and a tenth of the learning rate for all
but attention.

After an interruption, even a power cut, --resume goes on from the newest
checkpoint, with the same bits as if nothing had happened. Ctrl-C writes a
checkpoint first.

Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted (143 by SIGTERM,
129 by SIGHUP) with a checkpoint.

Examples:
  $ rnd1 train tiny --data data/train.bin -o runs/first --objective ar \\
      --steps 100 --batch 8 --sequence-length 64 --lr 1e-3
  $ rnd1 convert runs/first/checkpoint-100 tiny-start
  $ rnd1 train tiny-start --data corpus.jsonl -o runs/second --recipe scp \\
      --steps 100 --batch 8 --sequence-length 64 --lr 1e-3
  $ rnd1 train --resume runs/second`;

/** `rnd1 train` */
export function addTrain(program: Command): void {
  const command = program
    .command('train')
    .summary('train a model: autoregression or masked diffusion')
    .description('Trains a model on the CPU, in f32: autoregression, or masked diffusion.')
    .argument('[model]', 'folder of the checkpoint to start from');
  addTrainOptions(command);
  command.addHelpText('after', manual).action(train);
}

async function train(model: string | undefined, flags: TrainFlags): Promise<void> {
  using interruption = new Interruption();
  const { signal } = interruption;
  const options = await optionsOf(model, flags, signal);
  const view = flags.json ? null : new TrainView(process.stderr, { quiet: flags.quiet ?? false });
  let done: TrainDone | null = null;
  try {
    for await (const event of events(options)) {
      if (flags.json) process.stdout.write(`${printableJson(JSON.stringify(event))}\n`);
      view?.show(event);
      if (event.type === 'done') done = event;
    }
  } finally {
    view?.close();
  }
  if (done === null) return;
  if (!flags.json && !flags.quiet) {
    const { checkpoint, step, steps, complete } = done;
    const how = complete ? `${steps} steps` : `interrupted after step ${step} of ${steps}`;
    process.stdout.write(`${printableName(checkpoint)}: ${how}\n`);
  }
  if (!done.complete && signal.reason instanceof Interrupted) throw signal.reason;
}

async function optionsOf(
  model: string | undefined,
  flags: TrainFlags,
  signal: AbortSignal,
): Promise<TrainOptions | ResumeOptions> {
  const threads = cappedThreads(flags.threads);
  if (flags.resume !== undefined) return { ...resumeOptions(model, flags), threads, signal };
  const file = flags.config === undefined ? {} : await readTrainConfig(flags.config);
  const options = { ...trainOptionsOf(flags, file), threads, signal };
  const start = model ?? file.model;
  const missing = [
    ['<model>', start],
    ['--data', options.data],
    ['--output', options.output],
    ['--steps', options.steps],
    ['--lr', options.learningRate],
  ].flatMap(([name, value]) => (value === undefined ? [name] : []));
  if (missing.length > 0) throw new UsageError(`train needs ${missing.join(', ')}`);
  return { ...options, model: start } as TrainOptions;
}

/** Flags that a run takes from its folder. */
const resumable = new Set([
  'resume',
  'allowChanged',
  'data',
  'evalData',
  'steps',
  'device',
  'threads',
  'recompute',
  'saveEvery',
  'saveLimit',
  'saveDtype',
  'saveOnlyModel',
  'logEvery',
  'tensorboard',
  'json',
  'quiet',
]);

function resumeOptions(model: string | undefined, flags: TrainFlags): ResumeOptions {
  const other = Object.entries(flags).find(
    ([name, value]) => value !== undefined && !resumable.has(name) && !(name === 'padLoss' && value === true),
  );
  if (model !== undefined || other !== undefined) {
    const what =
      model !== undefined
        ? 'the model'
        : `--${(other as [string, unknown])[0].replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
    throw new UsageError(`--resume takes ${what} from the run's folder: leave it out`);
  }
  const { resume, data, evalData, steps, allowChanged } = flags;
  return {
    ...(controlOf(flags) as Partial<ResumeOptions>),
    resume: resume as string,
    ...(data === undefined ? {} : { data: filesOf(data) }),
    ...(evalData === undefined ? {} : { evaluationData: filesOf(evalData) }),
    ...(steps === undefined ? {} : { steps }),
    ...(allowChanged === undefined ? {} : { allowChanged }),
  };
}

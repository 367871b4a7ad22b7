import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  type EvaluatedTask,
  type EvaluateOptions,
  EvaluationFolder,
  type EvaluationPreset,
  evaluate,
  harnessResults,
  ProgramRunner,
  presetNames,
  type Sandbox,
} from '../evaluation';
import { printableJson } from '../support/printable';
import { configOf } from './eval-config';
import { type DataFlags, dataOf } from './eval-data';
import { type EvaluatedModelFlags, type EvaluationSubject, withEvaluatedModel } from './eval-model';
import { type PromptFlags, promptsOf } from './eval-prompts';
import { comparison, report } from './eval-results';
import { EvalBar, resultLines } from './eval-view';
import { integer, number, UsageError } from './input';
import { Interrupted, Interruption } from './interrupt';
import { seconds } from './loading';
import {
  addModelOptions,
  addSamplingOptions,
  requires,
  type SamplingFlags,
  samplingOf,
  schedulesHelp,
  verboseHelp,
} from './options';
import { addQueueOptions, checkQueueFlags, loadingFlags, waitingForWorkers } from './queue';

interface EvalFlags extends EvaluatedModelFlags, SamplingFlags, DataFlags, PromptFlags {
  readonly tasks?: readonly string[];
  readonly output?: string;
  readonly compare?: boolean;
  readonly report?: string;
  readonly limit?: number;
  readonly shots?: number;
  readonly fewshotSeed?: number;
  readonly worldSize?: number;
  readonly preset?: EvaluationPreset;
  readonly estimator?: NonNullable<EvaluateOptions['likelihood']>['estimator'];
  readonly mc?: number;
  readonly mcBatch?: number;
  readonly cfg?: number;
  readonly maxNewTokens?: number;
  readonly allowCodeExecution?: boolean;
  readonly python?: string;
  readonly sandbox?: Sandbox;
  readonly concurrency?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

const manual = `
Tasks:
  mmlu, arc_challenge, race, bbh, gsm8k, gsm8k_cot and mbpp, with the prompts
  and scores of lm-evaluation-harness; docs/evaluation.md lists their data and
  versions. Parts of groups (mmlu_anatomy) and older versions (race-v2) have
  names of their own. mbpp runs programs that the model writes: in a sandbox
  without network, with limits on time, memory, processes and files, and only
  with --allow-code-execution. nano is what the embedded model has learned, and
  needs no data: nano_add, nano_sort, nano_sudoku_6x6 and others.
  Choices are compared by their likelihoods, of which masked-diffusion models
  have estimates: --estimator, --mc, --mc-batch, --cfg. Written answers are
  greedy unless a temperature is given: see Denoising.
  --preset llada-paper has the settings with which LLaDA-8B-Base was scored,
  dream-paper those of Dream-v0-Base-7B, versions of tasks included.
${schedulesHelp}
Files:
  --output is a folder: results.json and samples_TASK.jsonl as the harness
  writes them, and answers.jsonl, a line for each document as it is answered.
  After an interruption, also kill -9, the same command goes on from there; a
  command with other settings is refused.

Several hosts:
  With --queue the documents are answered by \`rnd1 worker\` on as many hosts as
  there are, by way of a server of Redis or Valkey, and the table is that of one
  process. Prompts are made, programs run and answers scored here, where no
  model is loaded. All workers must have the same checkpoint, in the same dtype.
  Needs the packages bullmq and ioredis: npm install bullmq ioredis.

Printed output:
  A line for each task and metric: value and standard error in percent,
  documents, tokens of written answers by forward pass. --json prints the
  contents of results.json instead.
  --compare prints for each task the difference of two results over the
  documents that both have, its standard error, on how many the second is
  better and worse, and McNemar's exact p: how probable a difference as large
  is if neither is better. --report writes a page with a table and plots; it
  needs the package echarts: npm install echarts.

Exit codes:
  0 done, 1 failure, 2 wrong usage, 130 interrupted (143 by SIGTERM, 129 by
  SIGHUP).

Examples:
  $ rnd1 eval --tasks nano_add,nano_sort --limit 20 --steps 16
  $ rnd1 eval --tasks nano_sudoku_4x4 --limit 20 --output results
  $ rnd1 eval --tasks nano_sudoku_4x4 --limit 20 --steps 1 --output fast
  $ rnd1 eval --compare results fast
  $ rnd1 eval --report report.html results fast`;

/** `rnd1 eval` */
export function addEval(program: Command): void {
  const command = program
    .command('eval')
    .summary('score a model on benchmarks')
    .description("Scores a model on benchmarks by lm-evaluation-harness's conventions.")
    .argument('[folder...]', 'folders of results, for --compare and --report')
    .optionsGroup('Evaluation:')
    .option(
      '--tasks <names>',
      'tasks or groups, separated by commas; see Tasks (required)',
      (value: string) => value.split(','),
    )
    .addOption(
      new Option('--preset <name>', 'published settings of each task; other options override them').choices(
        presetNames,
      ),
    )
    .option('--data <folder>', 'data sets, each as on the hub: ORG/NAME/CONFIG/SPLIT.jsonl')
    .option(
      '--download',
      'fetch data sets from the hub into its cache, those that --data has not, and task files that --prompts does not name',
    )
    .option(
      '--prompts <folder>',
      "the harness's task files, for the fixed examples of bbh, gsm8k_cot and mbpp",
    )
    .option('-o, --output <folder>', 'folder for results: a new one, or that of an interrupted run')
    .option('--compare', 'compare two folders of results, document by document')
    .option('--report <file>', 'write a page in HTML on folders of results, with plots; needs echarts')
    .option('--limit <count>', 'the first documents of each task: a number, or a share below 1', limit)
    .option('--shots <count>', "examples before each question (default: the task's own number)", integer(0))
    .option('--fewshot-seed <number>', 'seed of the draws of examples (default: 1234)', integer(0))
    .option(
      '--world-size <count>',
      'processes among which a harness dealt out the documents: it changes the drawn examples (default: 1)',
      integer(1),
    )
    .option(
      '--concurrency <count>',
      `documents answered at the same time (default: 32; with --queue ${waitingForWorkers} that wait for workers)`,
      integer(1),
    )
    .optionsGroup('Likelihoods:')
    .addOption(
      new Option(
        '--estimator <name>',
        'of the likelihoods of choices (default: stratified; exact for causal models)',
      ).choices(['llada', 'dream', 'stratified', 'exact', 'left-to-right', 'right-to-left']),
    )
    .option('--mc <count>', 'masks of each choice (default: 128)', integer(1))
    .option(
      '--mc-batch <count>',
      'masks that are drawn together (default: 8; 32 for dream, 16 for stratified)',
      integer(1),
    )
    .option('--cfg <number>', 'guidance by the model without the prompt, for llada (default: 0)', number(0))
    .optionsGroup('Written answers:')
    .option(
      '-n, --max-new-tokens <count>',
      'positions after the prompt (default: from the checkpoint, else 256)',
      integer(1),
    );
  command
    .optionsGroup('Programs:')
    .option('--allow-code-execution', 'run the programs that the model writes, in a sandbox; mbpp needs it')
    .option('--python <command>', 'interpreter of programs (default: python3)')
    .addOption(
      new Option(
        '--sandbox <name>',
        'what keeps programs from the machine; none: inside a container only (default: the first that works)',
      ).choices(['bwrap', 'unshare', 'pyodide', 'none']),
    );
  addSamplingOptions(command, '64-bit seed of masks and of sampled answers (default: 0)');
  addQueueOptions(command, 'documents');
  addModelOptions(command);
  command
    .optionsGroup('Output:')
    .option('--json', 'print results.json instead of a table')
    .option('-q, --quiet', 'print nothing but the results and errors')
    .option('--verbose', verboseHelp)
    .addHelpText('after', manual)
    .action(evaluation);
}

function limit(value: string): number {
  const limit = Number(value);
  if (!(limit > 0) || (limit >= 1 && !Number.isSafeInteger(limit)))
    throw new InvalidArgumentError('It must be a positive integer, or a share below 1.');
  return limit;
}

async function evaluation(folders: readonly string[], flags: EvalFlags): Promise<void> {
  const { tasks, output } = flags;
  if (flags.compare) return comparison(folders, flags);
  if (tasks === undefined && flags.report !== undefined) return report(folders, flags.report);
  if (folders.length > 0) throw new UsageError('folders of results are for --compare and --report');
  if (flags.report !== undefined && output === undefined)
    throw new UsageError('--report needs --output, or folders of results');
  if (tasks === undefined) throw new UsageError('--tasks is needed: --tasks nano, for example');
  if (!flags.allowCodeExecution) requires(flags, '--allow-code-execution', ['python', 'sandbox']);
  checkQueueFlags(flags, loadingFlags);
  const { python, sandbox } = flags;
  using interruption = new Interruption();
  const { signal } = interruption;
  const own = { tasks, data: dataOf(flags, signal), prompts: promptsOf(flags, signal) };
  const options = { ...optionsOf(flags), ...own };
  await using programs = flags.allowCodeExecution
    ? await ProgramRunner.open(given({ python, sandbox }))
    : undefined;
  await withEvaluatedModel(flags, signal, (model) => run(model, { ...options, programs, signal }, flags));
}

/** The options of `evaluate` that flags give. */
function optionsOf(flags: EvalFlags): Omit<EvaluateOptions, 'tasks'> {
  const { limit, shots, worldSize, preset, estimator, mc, mcBatch, cfg, maxNewTokens } = flags;
  const { seed: drawSeed, ...sampling } = samplingOf(flags);
  return {
    ...{ limit, shots, worldSize, preset },
    seed: flags.fewshotSeed,
    drawSeed: drawSeed === undefined ? undefined : BigInt(drawSeed),
    likelihood: given({ estimator, samples: mc, batch: mcBatch, guidance: cfg }),
    generation: given({ ...sampling, maxNewTokens }),
  };
}

async function run(
  { model, description, concurrency }: EvaluationSubject,
  options: EvaluateOptions,
  flags: EvalFlags,
): Promise<void> {
  const { output, quiet } = flags;
  const bar = quiet ? null : new EvalBar(process.stderr);
  const start = performance.now();
  let done = '';
  try {
    const config = configOf(description, flags, options);
    const folder = output === undefined ? null : await EvaluationFolder.open(output, config);
    let evaluated: EvaluatedTask[];
    try {
      evaluated = await evaluate(model, {
        ...options,
        concurrency: flags.concurrency ?? concurrency,
        answered: folder?.answered,
        onAnswer: (answer) => folder?.add(answer),
        onProgress(progress) {
          done = `${progress.done} of ${progress.total} documents are answered`;
          bar?.update(progress);
        },
      });
      bar?.close();
      const results = (await folder?.finish(evaluated)) ?? harnessResults(evaluated, config);
      const text = flags.json
        ? printableJson(JSON.stringify(results, null, 2))
        : resultLines(evaluated, results).join('\n');
      process.stdout.write(`${text}\n`);
      if (flags.report !== undefined) await report([output as string], flags.report);
      if (flags.verbose) process.stderr.write(`rnd1: ${seconds(start)}\n`);
    } finally {
      await folder?.close();
    }
  } catch (error) {
    bar?.close();
    if (error instanceof Interrupted && output !== undefined && done !== '' && !quiet)
      process.stderr.write(`rnd1: ${done}; the same command goes on\n`);
    throw error;
  }
}

/** The options that have a value. */
function given<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

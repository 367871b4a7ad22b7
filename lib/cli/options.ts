import { type Command, Option } from 'commander';
import type { Device, DType, HubOptions, SamplingOptions, Schedule, SpecialTokenOptions } from '../api/types';
import { quantizedTypes } from '../checkpoint/quantization';
import { drawsPositions, startingSchedule } from '../denoising/schedule-table';
import { integer, none, number, parser, seed, tokenId, tokenIds, UsageError } from './input';
import { addSamplerOptions, type SamplerFlags, samplerOf } from './sampler-options';
import { formatSchedule, parseSchedule, scheduleGrammar } from './schedule-notation';

/** The cache folder of models. */
export interface CacheFlags {
  readonly cacheDir?: string;
}

/** Revision of a model on the hub, its cache folder and the access token. */
export interface HubFlags extends CacheFlags {
  readonly revision?: string;
  readonly token?: string;
}

/** Model to load, its device and its memory options. */
export interface ModelFlags extends HubFlags {
  readonly model?: string;
  readonly device?: Device;
  readonly dtype?: DType;
  readonly threads?: number;
  readonly mmap?: boolean;
  readonly maxCacheBytes?: number;
}

/** How a canvas is denoised. */
export interface SamplingFlags extends SamplerFlags {
  readonly steps?: number;
  readonly schedule?: Schedule;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly greedy?: boolean;
  readonly seed?: bigint;
}

/** Output options. */
export interface OutputFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly live: boolean;
}

/** Token ids instead of text: no tokenizer is needed. */
export interface TokenFlags {
  readonly tokens?: string;
  readonly maskTokenId?: number | typeof none;
  readonly eosTokenId?: readonly number[] | typeof none;
  readonly padTokenId?: number | typeof none;
  readonly bosTokenId?: number | typeof none;
}

const device = parser((text): Device => {
  if (/^(auto|cpu|cuda|cuda:\d+)$/.test(text)) return text as Device;
  throw new TypeError('Expected auto, cpu, cuda or cuda:N.');
});

const cacheOption = [
  '--cache-dir <folder>',
  'cache folder of models (default: the cache of all Hugging Face libraries)',
] as const;

/** `--cache-dir` */
export function addCacheOption(command: Command): Command {
  return command.option(...cacheOption);
}

/** `--revision --cache-dir --token` */
export function addHubOptions(command: Command): Command {
  return command
    .optionsGroup('Hugging Face hub:')
    .option('--revision <name>', 'branch, tag or commit (default: main)')
    .option(...cacheOption)
    .option(
      '--token <token>',
      'access token for private and gated models (default: HF_TOKEN, or the one that `hf auth login` stored)',
    );
}

/** `--threads`; `auto` is as if it were missing. */
export const threadCountOption = [
  '--threads <count>',
  'compute threads; auto: one per physical core that this process may use (default: auto)',
  (text: string) => (text === 'auto' ? undefined : integer(1)(text)),
] as const;

/** `--model --device --dtype --threads --mmap --no-mmap --max-cache-bytes`, and `addHubOptions` */
export function addModelOptions(command: Command, without = 'default: the embedded nano model'): Command {
  const model = command
    .optionsGroup('Model:')
    .option(
      '-m, --model <model>',
      `folder of a checkpoint, a GGUF file, or a name on the Hugging Face hub (${without})`,
    )
    .option(
      '--device <name>',
      'auto, cpu, cuda or cuda:N; auto uses a GPU if one is usable (default: auto)',
      device,
    )
    .addOption(
      new Option(
        '--dtype <type>',
        "compute dtype; auto: the checkpoint's own; q8, q5m, q5, q4m, q4, on a GPU fp8: quantize while loading (default: auto)",
      ).choices(['auto', 'f32', 'f16', 'bf16', ...quantizedTypes]),
    )
    .option(...threadCountOption)
    .option(
      '--mmap',
      'memory-map the weights: loads fast, but the files must not change (default: if they exceed half of the free memory)',
    )
    .option(
      '--no-mmap',
      'copy the weights into memory: runs faster on the CPU (default: if they take at most half of the free memory)',
    )
    .option(
      '--max-cache-bytes <count>',
      'bytes of the key/value caches of all texts, running and finished; 0: none (default: a quarter of the free memory)',
      integer(0),
    );
  return addHubOptions(model);
}

/** `--steps --schedule --temperature --top-k --top-p --greedy --seed`, and `addSamplerOptions` */
export function addSamplingOptions(
  command: Command,
  seedHelp = '64-bit sampling seed: same seed, same text (default: random, shown at the end)',
): Command {
  command
    .optionsGroup('Denoising:')
    .option(
      '-s, --steps <count>',
      'maximum number of steps: fewer are faster, more are more accurate (default: from the checkpoint)',
      integer(1),
    )
    .option(
      '--schedule <schedule>',
      `which positions a step unmasks; see Schedules (default: the model's own; of RND1 ${formatSchedule(startingSchedule)}, with --steps entropy)`,
      parser(parseSchedule),
    )
    .option(
      '-t, --temperature <number>',
      '0 takes the most probable token, above 0 samples (default: 0)',
      number(0),
    )
    .option('--top-k <count>', 'sample from the k most probable tokens (default: off)', integer(1))
    .option(
      '--top-p <share>',
      'sample from the most probable tokens with this total probability (default: off)',
      number(0, 1),
    )
    .option('--greedy', 'take the most probable token at any temperature')
    .option('--seed <integer>', seedHelp, seed);
  return addSamplerOptions(command);
}

/** Help text of `--verbose`. */
export const verboseHelp =
  'print to standard error where the weights come from, which device runs them and why, and how long it takes';

/** `--json --quiet --no-live --verbose` */
export function addOutputOptions(command: Command): Command {
  return command
    .optionsGroup('Output:')
    .option('--json', 'one JSON object per line: every step, then the result')
    .option('-q, --quiet', 'no progress and no summary on standard error')
    .option('--no-live', 'do not draw the canvas while it unmasks')
    .option('--verbose', verboseHelp);
}

/** `--file` of commands that take a text. */
export const fileOption = [
  '-f, --file <path>',
  'read the text from this file; `-` is standard input',
] as const;

/** `--chat-template` of commands that answer requests. */
export const chatTemplateOption = [
  '--chat-template <file>',
  "Jinja template file, or task for the task template (default: the checkpoint's, else task)",
] as const;

/** `--max-rows-per-step` */
export const maxRowsOption = [
  '--max-rows-per-step <count>',
  'tokens of all canvases in one step (default: 4096)',
  integer(1),
] as const;

/** `--max-canvas-tokens` */
export const maxCanvasOption = [
  '--max-canvas-tokens <count>',
  'tokens of a canvas, prompt included (default: the maximum of the model)',
  integer(1),
] as const;

/** `--prompt-timeout` */
export const promptTimeoutOption = [
  '--prompt-timeout <seconds>',
  'time limit for the template and tokenization of a prompt (default: 5)',
  number(0.001),
] as const;

/** `--tokens` and the special ids. */
export function addTokenOptions(command: Command, what: string): Command {
  return command
    .optionsGroup('Token ids:')
    .option('--tokens <ids>', what)
    .option('--mask-token-id <id>', 'id of the mask token (default: from the checkpoint)', tokenId)
    .option('--eos-token-id <ids>', 'ids that end a text, or none (default: from the checkpoint)', tokenIds)
    .option('--pad-token-id <id>', 'id of the pad token, or none (default: from the checkpoint)', tokenId)
    .option('--bos-token-id <id>', 'id that begins a text, or none (default: from the checkpoint)', tokenId);
}

/** The section of a manual on `--schedule`. */
export const schedulesHelp = `\nSchedules:\n${scheduleGrammar(78)
  .map((line) => `  ${line}`)
  .join('\n')}\n`;

/** The section of a manual on output and exit codes. */
export const outputHelp = `
Printed output:
  In a terminal the canvas is drawn while it unmasks: masked positions as ░,
  the tokens of the last step highlighted. Then the text is printed. NO_COLOR
  turns colours off.
  In a pipe only the text is printed; progress and summary go to standard error
  if that is a terminal.
  --json prints a line for each step: {"type":"step", step, steps, forwards,
  tokens, masked, committed, edited, predicted, confidence, entropy, text,
  written}. committed lists positions, edited those of them that held another
  token; the other arrays are as long as the canvas (confidence:
  log-probabilities; entropy: nats), with null for positions that the step did
  not score.
  The last line is {"type":"result", text, written, tokens, positions, seed,
  steps, forwards, finishReason, seconds}, or after a signal {"type":"result",
  text, tokens, masked, positions, steps, forwards, finishReason: "interrupted",
  seconds}. With --tokens there is no text.

Exit codes:
  0 done, 1 failure, 2 wrong usage, 130 interrupted (143 by SIGTERM, 129 by
  SIGHUP).
  Ctrl-C stops, prints the unfinished text (masked positions as ░) and exits
  with 130; a second Ctrl-C exits at once. RND1_DEBUG=1 adds stack traces to
  error messages.`;

/** Converts the hub flags to library options. */
export function hubOf({ revision, cacheDir, token }: HubFlags): HubOptions {
  return { revision, cacheDir, token };
}

/** Converts the sampling flags to library options. */
export function samplingOf({
  steps,
  schedule,
  temperature,
  topK,
  topP,
  greedy,
  seed,
  ...sampler
}: SamplingFlags): SamplingOptions {
  return { steps, schedule, temperature, topK, topP, greedy, seed, ...samplerOf(sampler) };
}

/** Whether the run uses random numbers. Prints a note if a seed is given and it does not. */
export function draws(
  { temperature = 0, greedy, schedule, algTemp = 0 }: SamplingOptions,
  flags: SamplingFlags & { readonly quiet?: boolean },
): boolean {
  const random = (temperature > 0 && !greedy) || algTemp > 0 || drawsPositions(schedule);
  if (!random && flags.seed !== undefined && !flags.quiet) {
    process.stderr.write('rnd1: --seed has no effect: without --temperature nothing is sampled\n');
  }
  return random;
}

/** Converts the special ids to library options. */
export function specialOf(flags: TokenFlags): SpecialTokenOptions {
  const { maskTokenId, eosTokenId, padTokenId, bosTokenId } = flags;
  if (maskTokenId === none) throw new UsageError('--mask-token-id must be a token id');
  const id = <T>(value: T | typeof none) => (value === none ? null : value);
  return { maskTokenId, eosTokenId: id(eosTokenId), padTokenId: id(padTokenId), bosTokenId: id(bosTokenId) };
}

/** The flags that `specialOf` reads. */
export const specialFlags = ['maskTokenId', 'eosTokenId', 'padTokenId', 'bosTokenId'] as const;

/** Rejects the `dependent` flags, which require the `missing` one. */
export function requires(flags: object, missing: string, dependent: readonly string[]): void {
  for (const name of dependent) {
    if ((flags as Record<string, unknown>)[name] !== undefined) {
      throw new UsageError(`${optionName(name)} needs ${missing}`);
    }
  }
}

/** Rejects flags that cannot be combined with `one`. */
export function excludes(flags: object, one: string, others: readonly string[]): void {
  for (const name of others) {
    if ((flags as Record<string, unknown>)[name] !== undefined) {
      throw new UsageError(`${one} and ${optionName(name)} exclude each other`);
    }
  }
}

/** `maxNewTokens` → `--max-new-tokens` */
export const optionName = (name: string) =>
  `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

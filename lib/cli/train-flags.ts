import { type Command, Option } from 'commander';
import type { Device } from '../api/types';
import type { LearningRates, LearningSchedule, TrainOptions, WeightedFile } from '../training';
import { integer, number, parser, UsageError } from './input';
import { threadCountOption } from './options';

const device = parser((text) => {
  if (/^(cpu|cuda|cuda:\d+)$/.test(text)) return text as Exclude<Device, 'auto'>;
  throw new TypeError('Expected cpu, cuda or cuda:N.');
});

/** Flags of `rnd1 train`. */
export interface TrainFlags {
  readonly data?: readonly string[];
  readonly output?: string;
  readonly steps?: number;
  readonly lr?: number;
  readonly lrScale?: Readonly<Record<string, number>>;
  readonly recipe?: 'scp';
  readonly objective?: 'mdlm' | 'ar';
  readonly config?: string;
  readonly resume?: string;
  readonly allowChanged?: boolean;
  readonly batch?: number;
  readonly microBatch?: number;
  readonly sequenceLength?: number;
  readonly documents?: 'chunk' | 'document';
  readonly tokenBytes?: '2' | '4';
  readonly cache?: string;
  readonly schedule?: LearningSchedule['kind'];
  readonly warmup?: number;
  readonly decay?: number;
  readonly floor?: number;
  readonly betas?: readonly [number, number];
  readonly epsilon?: number;
  readonly weightDecay?: number;
  readonly clip?: number;
  readonly weighting?: TrainOptions['weighting'];
  readonly timeSampling?: TrainOptions['timeSampling'];
  readonly complementaryMasks?: boolean;
  readonly minTime?: number;
  readonly randomLength?: number;
  readonly padLoss: boolean;
  readonly auxCoef?: number;
  readonly auxScope?: 'pooled' | 'layer';
  readonly zCoef?: number;
  readonly seed?: number;
  readonly evalData?: readonly string[];
  readonly evalEvery?: number;
  readonly evalCanvases?: number;
  readonly noiseScale?: boolean;
  readonly device?: Exclude<Device, 'auto'>;
  readonly threads?: number;
  readonly recompute?: 'none' | 'attention' | 'layer';
  readonly dtype?: 'f32' | 'bf16';
  readonly saveEvery?: number;
  readonly saveLimit?: number;
  readonly saveDtype?: 'f32' | 'bf16';
  readonly saveOnlyModel?: boolean;
  readonly logEvery?: number;
  readonly tensorboard: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const groups = ['attention', 'router', 'mlp', 'embedding', 'head', 'norm'];

const scales = parser((text, before: Record<string, number> | undefined): Record<string, number> => {
  const entries = text.split(',').map((part) => {
    const at = part.lastIndexOf('=');
    const factor = Number(part.slice(at + 1));
    if (at < 1 || part.slice(at + 1).trim() === '' || !Number.isFinite(factor) || factor < 0)
      throw new TypeError('Expected a group or a pattern of tensor names, =, and a factor: mlp=0.1.');
    return [part.slice(0, at), factor] as const;
  });
  return { ...before, ...Object.fromEntries(entries) };
});

const betas = parser((text): readonly [number, number] => {
  const [first, second, ...rest] = text.split(',').map(Number);
  if (first === undefined || second === undefined || rest.length > 0 || Number.isNaN(first + second))
    throw new TypeError('Expected two numbers separated by a comma: 0.9,0.95.');
  return [first, second];
});

/** All options of `rnd1 train`, in groups. */
export function addTrainOptions(command: Command): void {
  command
    .optionsGroup('Run:')
    .option('-o, --output <folder>', 'new folder of the run: checkpoints, metrics, options')
    .option('--steps <count>', 'steps of the optimizer', integer(1))
    .option('--resume <folder>', 'go on with the run in this folder, from its newest checkpoint')
    .option('--allow-changed', 'resume even if data or options have changed')
    .option('--config <file>', 'JSON with options in the names of the library, or of transformers; flags win')
    .option('--seed <number>', 'of masks and of the order of the data (default: 0)', integer(0))
    .option('--device <name>', 'cpu, cuda or cuda:N (default: cpu)', device)
    .option(...threadCountOption)
    .addOption(
      choices('--recompute <what>', 'activations to compute again instead of keeping them (default: none)', [
        'none',
        'attention',
        'layer',
      ]),
    )
    .optionsGroup('Data:')
    .option('--data <file...>', 'token files, JSONL or text; file:0.7 gives a share')
    .option(
      '--sequence-length <tokens>',
      'tokens of a canvas (default: 1024, at most what the model takes)',
      integer(2),
    )
    .addOption(
      choices(
        '--documents <how>',
        'chunk: canvases may span documents; document: each has its own (default: chunk)',
        ['chunk', 'document'],
      ),
    )
    .addOption(choices('--token-bytes <count>', 'bytes of a token in files without header', ['2', '4']))
    .option('--cache <folder>', 'folder for tokenized text (default: beside the data)')
    .option('--eval-data <file...>', 'data for the losses of evaluation')
    .option('--eval-every <steps>', 'steps between evaluations (default: 200)', integer(1))
    .option('--eval-canvases <count>', 'canvases of an evaluation (default: 64)', integer(1))
    .optionsGroup('Objective:')
    .addOption(
      choices('--objective <name>', 'mdlm: masked diffusion; ar: autoregression (default: by the model)', [
        'mdlm',
        'ar',
      ]),
    )
    .addOption(choices('--recipe <name>', 'scp: simple continual pretraining, see below', ['scp']))
    .addOption(
      choices('--weighting <name>', 'of masked positions (default: mean)', [
        'mean',
        'elbo',
        'sequence',
        'diffullama',
        'cart',
      ]),
    )
    .addOption(
      choices('--time-sampling <how>', 'of mask rates (default: stratified)', ['independent', 'stratified']),
    )
    .option(
      '--complementary-masks',
      'each canvas twice in a step: with a mask, and with what that leaves (default: once)',
    )
    .option('--min-time <rate>', 'smallest mask rate (default: 0.001)', number(0, 1))
    .option(
      '--random-length <share>',
      'share of canvases that are cut to a random length (default: 0.01 for mdlm)',
      number(0, 1),
    )
    .option('--no-pad-loss', 'do not learn what follows the first end of text')
    .option(
      '--aux-coef <factor>',
      "of the routers' load balance (default: config.json's for ar, 0.001 for mdlm)",
      number(0),
    )
    .addOption(
      choices('--aux-scope <scope>', 'balance in each layer, or over all (default: layer)', [
        'layer',
        'pooled',
      ]),
    )
    .option('--z-coef <factor>', "of the routers' z-loss (default: 0)", number(0))
    .optionsGroup('Optimizer:')
    .option('--lr <rate>', 'learning rate', number(0))
    .option(
      '--lr-scale <group=factor,...>',
      `factors of it: ${groups.join(', ')}, or a pattern of tensor names; 0 freezes`,
      scales,
    )
    .addOption(
      choices('--schedule <name>', 'course of the learning rate (default: constant)', [
        'constant',
        'linear',
        'cosine',
        'wsd',
        'wsd-sqrt',
      ]),
    )
    .option('--warmup <steps>', 'steps in which it rises; below 1: a share of all (default: 0)', number(0))
    .option(
      '--decay <steps>',
      'last steps in which wsd falls; below 1: a share of all (default: 0.2)',
      number(0),
    )
    .option('--floor <factor>', 'of the learning rate at the end (default: 0)', number(0, 1))
    .option('--batch <canvases>', 'canvases of a step (default: 64)', integer(1))
    .option(
      '--micro-batch <canvases>',
      'canvases of one pass; less takes less memory (default: 8192 tokens)',
      integer(1),
    )
    .option('--betas <a,b>', "decay of AdamW's moments (default: 0.9,0.95)", betas)
    .option('--epsilon <number>', "AdamW's (default: 1e-8)", number(0))
    .option('--weight-decay <factor>', 'of matrices but the embedding (default: 0.1)', number(0))
    .option('--clip <norm>', 'largest norm of the gradient; 0: any (default: 1)', number(0))
    .option('--noise-scale', "report the gradient's noise scale")
    .addOption(
      choices('--dtype <type>', 'of weights in products; parameters stay f32 (default: f32)', [
        'f32',
        'bf16',
      ]),
    )
    .optionsGroup('Output:')
    .option('--save-every <steps>', 'steps between checkpoints (default: 500)', integer(1))
    .option('--save-limit <count>', 'newest checkpoints to keep (default: all)', integer(1))
    .addOption(choices('--save-dtype <type>', "of the checkpoints' weights (default: f32)", ['f32', 'bf16']))
    .option('--save-only-model', 'leave the state of the optimizer out: such a run cannot be resumed')
    .option('--log-every <steps>', 'steps between lines of metrics.jsonl (default: 1)', integer(1))
    .option('--no-tensorboard', 'write no files for TensorBoard')
    .option('--json', 'print events as lines of JSON')
    .option('-q, --quiet', 'print nothing but errors');
}

function choices(flags: string, text: string, words: readonly string[]): Option {
  return new Option(flags, text).choices(words);
}

/** The options of `train` that the flags give, over those of a file. */
export function trainOptionsOf(flags: TrainFlags, file: Partial<TrainOptions>): Partial<TrainOptions> {
  const { schedule: kind, warmup, decay, floor, betas: pair, epsilon, weightDecay, clip } = flags;
  const schedule = { ...file.schedule, ...given({ kind, warmup, decay, floor }) };
  const optimizer = { ...file.optimizer, ...given({ betas: pair, epsilon, weightDecay, clip }) };
  const { evalData, evalEvery: every, evalCanvases: canvases, tokenBytes } = flags;
  const data = evalData === undefined ? file.evaluation?.data : filesOf(evalData);
  if (data === undefined && (every !== undefined || canvases !== undefined))
    throw new UsageError('--eval-every and --eval-canvases need --eval-data');
  const { output, steps, recipe, objective, batch, microBatch, sequenceLength, documents, cache } = flags;
  const { weighting, timeSampling, complementaryMasks, minTime, randomLength, auxCoef, auxScope, zCoef } =
    flags;
  const { dtype, seed, noiseScale } = flags;
  return {
    ...file,
    ...given({ output, steps, recipe, objective, batch, microBatch, sequenceLength, documents, cache }),
    ...given({
      weighting,
      timeSampling,
      complementaryMasks,
      minTime,
      randomLength,
      auxCoef,
      auxScope,
      zCoef,
    }),
    ...given({ dtype, seed, noiseScale }),
    ...controlOf(flags),
    ...given({
      data: flags.data === undefined ? undefined : filesOf(flags.data),
      tokenBytes: tokenBytes === undefined ? undefined : (Number(tokenBytes) as 2 | 4),
      padLoss: flags.padLoss ? undefined : false,
      learningRate: ratesOf(flags, file.learningRate),
      evaluation:
        data === undefined ? undefined : { ...file.evaluation, data, ...given({ every, canvases }) },
      schedule: Object.keys(schedule).length > 0 ? schedule : undefined,
      optimizer: Object.keys(optimizer).length > 0 ? optimizer : undefined,
    }),
  };
}

/** The flags that a resumed run may change. */
export function controlOf(flags: TrainFlags): Partial<TrainOptions> {
  const { device, threads, recompute, saveEvery, saveLimit, saveDtype, saveOnlyModel, logEvery } = flags;
  const tensorBoard = flags.tensorboard ? undefined : false;
  const saves = { saveEvery, saveLimit, saveDtype, saveOnlyModel };
  return given({ device, threads, recompute, ...saves, logEvery, tensorBoard });
}

/** Files with the shares after their last colon. */
export function filesOf(list: readonly string[]): (string | WeightedFile)[] {
  const files = list.map((text) => {
    const share = /^(.+):(\d+(?:\.\d+)?|\.\d+)$/.exec(text);
    return share === null ? text : { file: share[1] as string, weight: Number(share[2]) };
  });
  const weighted = files.filter((file) => typeof file !== 'string').length;
  if (weighted > 0 && weighted < files.length)
    throw new UsageError('either all files of --data and --eval-data have a share (file:0.7), or none');
  return files;
}

function ratesOf(
  { lr, lrScale }: TrainFlags,
  file: TrainOptions['learningRate'] | undefined,
): LearningRates | number | undefined {
  if (lrScale === undefined) return lr ?? file;
  const base = lr ?? (typeof file === 'object' ? file.base : file);
  if (base === undefined) throw new UsageError('--lr-scale needs --lr');
  const scaled = Object.entries(lrScale).map(([name, factor]) => [name, base * factor] as const);
  const tensors = Object.fromEntries(scaled.filter(([name]) => !groups.includes(name)));
  return {
    ...(typeof file === 'object' && lr === undefined ? file : {}),
    base,
    ...Object.fromEntries(scaled.filter(([name]) => groups.includes(name))),
    ...(Object.keys(tensors).length > 0 ? { tensors } : {}),
  };
}

/** Without the fields that are undefined. */
function given<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

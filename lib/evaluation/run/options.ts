import type { GenerateOptions } from '../../index';
import {
  callbackOption,
  integerOption,
  optionsObject,
  quote,
  signalOption,
  wordOption,
} from '../../support/validate';
import { type LikelihoodOptions, readLikelihoodOptions } from '../likelihood/options';
import type { ProgramRunner } from '../programs/program-runner';
import type { BuildRequestsOptions } from '../requests';
import type { EvaluationOutput } from '../scoring/scores';
import type { TaskDefinition } from '../tasks/definition';
import { namedTasks } from '../tasks/table';
import type { EvaluatedModel } from './evaluated-model';
import {
  type EvaluationPreset,
  type PresetSettings,
  presetBeginning,
  presetNames,
  presetSettings,
} from './presets';

/** How likelihoods of choices are estimated: options of `estimateLikelihood`. */
export type EvaluationLikelihood = Pick<
  LikelihoodOptions,
  'estimator' | 'samples' | 'batch' | 'epsilon' | 'guidance' | 'maskInPrompt'
>;

/** How answers are written: options of `generate` and `fill`. */
export type EvaluationGeneration = Omit<
  GenerateOptions,
  'mode' | 'signal' | 'seed' | 'stopAtEos' | 'collectFrames'
>;

/** What the model has said about one document. */
export interface AnsweredDocument {
  /** Name of the task. */
  readonly task: string;
  /** Place of the document in its split, from 0. */
  readonly docId: number;
  /** Hash of the prompt: an answer to another one is not used. */
  readonly prompt: string;
  /** The written answer, or the log-likelihoods of the choices, in nats. */
  readonly output: EvaluationOutput | readonly number[];
  /** Monte-Carlo errors of the likelihoods; null where there is a single round. */
  readonly standardErrors?: readonly (number | null)[];
  /** Forward passes of canvases. */
  readonly passes: number;
  /** Tokens of a written answer up to its end, with it; 0 for choices. */
  readonly tokens: number;
  /** Positions that were unmasked for it, those after its end included; 0 for choices. */
  readonly unmasked: number;
  /** Whether a written answer ended before the canvas did. */
  readonly ended: boolean;
}

/** How far an evaluation is. */
export interface EvaluationProgress {
  /** Documents that have been answered, earlier ones included. */
  readonly done: number;
  /** Documents of all tasks. */
  readonly total: number;
  /** Answers that were given as `answered`. */
  readonly known: number;
}

/** Options of `evaluate`. */
export interface EvaluateOptions
  extends Pick<BuildRequestsOptions, 'data' | 'prompts' | 'shots' | 'seed' | 'limit' | 'worldSize'> {
  /** Names of tasks or groups, or tasks of your own. */
  readonly tasks: readonly (string | TaskDefinition)[];
  /** Published settings of each task, which `shots`, `likelihood` and `generation` override. @default none */
  readonly preset?: EvaluationPreset;
  /** How likelihoods are estimated. @default as `estimateLikelihood` */
  readonly likelihood?: EvaluationLikelihood;
  /** How answers are written. @default greedy, and the model's own settings */
  readonly generation?: EvaluationGeneration;
  /** Runs the programs that the model writes, which MBPP needs. @default none: such tasks are refused */
  readonly programs?: ProgramRunner;
  /** Seed of masks and of sampled answers, together with what identifies the document. @default 0 */
  readonly drawSeed?: number | bigint;
  /** Documents that are answered at the same time: their canvases share forward passes. @default 32 */
  readonly concurrency?: number;
  /** Answers of an interrupted evaluation with the same options: they are not computed again. @default none */
  readonly answered?: readonly AnsweredDocument[];
  /** Called with each new answer; the next document waits for what it returns. */
  readonly onAnswer?: (answer: AnsweredDocument) => void | Promise<void>;
  /** Called before the first and after each answer. */
  readonly onProgress?: (progress: EvaluationProgress) => void;
  /** When it aborts, the call rejects with its reason. @default none */
  readonly signal?: AbortSignal;
}

const names: Readonly<Record<keyof EvaluateOptions, true>> = {
  tasks: true,
  data: true,
  prompts: true,
  shots: true,
  seed: true,
  limit: true,
  worldSize: true,
  preset: true,
  likelihood: true,
  generation: true,
  programs: true,
  drawSeed: true,
  concurrency: true,
  answered: true,
  onAnswer: true,
  onProgress: true,
  signal: true,
};

const likelihoodNames: Readonly<Record<keyof EvaluationLikelihood, true>> = {
  estimator: true,
  samples: true,
  batch: true,
  epsilon: true,
  guidance: true,
  maskInPrompt: true,
};

/** How the documents of one task are put to a model. */
export interface TaskSettings {
  readonly requests: BuildRequestsOptions;
  readonly likelihood: EvaluationLikelihood;
  readonly generation: EvaluationGeneration;
  /** Text before every prompt. */
  readonly beginning: string;
  readonly programs: ProgramRunner | undefined;
  readonly drawSeed: number | bigint;
}

/** Checked options. */
export interface EvaluateSettings {
  readonly tasks: readonly (string | TaskDefinition)[];
  /** Of each of the tasks. */
  readonly settings: readonly TaskSettings[];
  readonly concurrency: number;
  readonly answered: readonly AnsweredDocument[];
  readonly onAnswer: NonNullable<EvaluateOptions['onAnswer']>;
  readonly onProgress: NonNullable<EvaluateOptions['onProgress']>;
  readonly signal: AbortSignal;
}

/** @throws TypeError or RangeError naming the option */
export function readEvaluateOptions(model: EvaluatedModel, options: EvaluateOptions): EvaluateSettings {
  const given = optionsObject('options', options, names);
  const { tasks, answered = [], concurrency = 32, onAnswer, onProgress } = given;
  if (!Array.isArray(tasks) || tasks.length === 0)
    throw new TypeError(`tasks must be a list of names, not ${quote(tasks)}`);
  callbackOption('onAnswer', onAnswer);
  callbackOption('onProgress', onProgress);
  const preset = given.preset === undefined ? undefined : wordOption('preset', given.preset, presetNames);
  const list = tasks as EvaluateOptions['tasks'];
  return {
    tasks: list,
    settings: list.map((task) => taskSettings(model, task, preset, given)),
    concurrency: integerOption('concurrency', concurrency, 1),
    answered,
    onAnswer: onAnswer ?? (() => {}),
    onProgress: onProgress ?? (() => {}),
    signal: signalOption(given.signal) ?? new AbortController().signal,
  };
}

function taskSettings(
  model: EvaluatedModel,
  task: string | TaskDefinition,
  preset: EvaluationPreset | undefined,
  options: EvaluateOptions,
): TaskSettings {
  const { data, prompts, shots, seed, limit, worldSize, generation, drawSeed = 0 } = options;
  const name = typeof task === 'string' ? task : task.name;
  if (typeof task === 'string') namedTasks(task);
  const published: Partial<PresetSettings> = preset === undefined ? {} : presetSettings(preset, name);
  const version = /-v\d+$/.test(name) ? undefined : published.version;
  const likelihood = {
    ...published.likelihood,
    ...optionsObject('likelihood', options.likelihood, likelihoodNames),
  };
  // The tokens are not known yet.
  readLikelihoodOptions({ ...likelihood, prefix: [], target: [] }, model);
  return {
    requests: { data, prompts, shots: shots ?? published.shots, seed, limit, worldSize, version },
    likelihood,
    generation: { ...published.generation, ...generation },
    programs: options.programs,
    beginning: preset !== undefined && presetBeginning(preset) ? beginningOf(model) : '',
    drawSeed:
      typeof drawSeed === 'bigint' ? drawSeed : integerOption('drawSeed', drawSeed, Number.MIN_SAFE_INTEGER),
  };
}

/** The text of the beginning-of-text token, as Dream's code puts it before prompts. */
function beginningOf({ beginning }: EvaluatedModel): string {
  if (beginning === null)
    throw new RangeError('the preset begins prompts with a beginning-of-text token, which the model lacks');
  return beginning;
}

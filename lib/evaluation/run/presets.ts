import type { EvaluationGeneration, EvaluationLikelihood } from './options';

/** What a publication says about a task. */
export interface PresetSettings {
  /** Version of the task, where it is not the newest. */
  readonly version?: number;
  readonly shots: number;
  readonly likelihood?: EvaluationLikelihood;
  readonly generation?: EvaluationGeneration;
}

/** Published settings. */
interface Preset {
  /** Whether the text of the beginning-of-text token stands before every prompt. */
  readonly beginning: boolean;
  /** By the name of a task or group; parts of a group have its settings. */
  readonly tasks: Readonly<Record<string, PresetSettings>>;
}

const lladaMasks = { estimator: 'llada', samples: 128, batch: 8 } as const;
const dreamMasks = { estimator: 'dream', samples: 128, batch: 32, epsilon: 1e-3 } as const;

/** One block of that many tokens, a step each, the most confident first. */
const lladaAnswer = (length: number): EvaluationGeneration => ({
  maxNewTokens: length,
  steps: length,
  schedule: 'confidence',
});

const dreamAnswer = (length: number, temperature = 0): EvaluationGeneration => ({
  maxNewTokens: length,
  steps: length,
  schedule: 'entropy',
  temperature,
  topP: 0.95,
});

const settings = {
  /** github.com/ML-GSAI/LLaDA, EVAL.md, of LLaDA-8B-Base. */
  'llada-paper': {
    beginning: false,
    tasks: {
      mmlu: { shots: 5, likelihood: { estimator: 'llada', samples: 1, batch: 1 } },
      arc_challenge: { shots: 0, likelihood: { ...lladaMasks, guidance: 0.5 } },
      bbh: { version: 3, shots: 3, generation: lladaAnswer(1024) },
      gsm8k: { shots: 5, generation: lladaAnswer(1024) },
      mbpp: { shots: 3, generation: lladaAnswer(1024) },
    },
  },
  /** github.com/DreamLM/Dream, of Dream-v0-Base-7B. */
  'dream-paper': {
    beginning: true,
    tasks: {
      mmlu: { shots: 5, likelihood: dreamMasks },
      arc_challenge: { shots: 0, likelihood: dreamMasks },
      race: { version: 2, shots: 0, likelihood: dreamMasks },
      bbh: { version: 3, shots: 3, generation: dreamAnswer(512) },
      gsm8k_cot: { shots: 8, generation: dreamAnswer(256) },
      mbpp: { shots: 3, generation: dreamAnswer(512, 0.2) },
    },
  },
} as const satisfies Record<EvaluationPreset, Preset>;

/** Names of published settings. */
export type EvaluationPreset = 'llada-paper' | 'dream-paper';

/** All of them. */
export const presetNames = Object.keys(settings) as EvaluationPreset[];

/** Whether the beginning of text stands before every prompt. */
export const presetBeginning = (preset: EvaluationPreset): boolean => settings[preset].beginning;

/** @throws RangeError for a task of which the publication says nothing */
export function presetSettings(preset: EvaluationPreset, task: string): PresetSettings {
  const tasks: Readonly<Record<string, PresetSettings>> = settings[preset].tasks;
  const name = task.replace(/-v\d+$/, '');
  const owner = Object.keys(tasks)
    .filter((each) => name === each || name.startsWith(`${each}_`))
    .sort((a, b) => b.length - a.length)[0];
  // gsm8k_cot is no part of gsm8k.
  const found = owner === undefined || (owner === 'gsm8k' && name !== owner) ? undefined : tasks[owner];
  if (found === undefined)
    throw new RangeError(`preset ${preset} has no settings for ${task}: ${Object.keys(tasks).join(', ')}`);
  return found;
}

import { integerOption, numberOption, optionsObject, wordOption } from '../support/validate';

/** The courses of the learning rates after the warm-up. */
export const scheduleKinds = ['constant', 'linear', 'cosine', 'wsd', 'wsd-sqrt'] as const;

/** A course of the learning rates. */
export interface LearningSchedule {
  /**
   * After the warm-up: `constant`; `linear` and `cosine` fall to the end; `wsd` (warm-up, stable, decay) is constant and
   * falls in the last `decay` steps only, linearly, or as 1 − √x (`wsd-sqrt`).
   *
   * @default 'constant'
   */
  readonly kind?: (typeof scheduleKinds)[number];
  /** Steps in which the rates rise linearly; below 1, a share of all steps. @default 0 */
  readonly warmup?: number;
  /** Last steps in which `wsd` falls; below 1, a share of all steps. @default 0.2 */
  readonly decay?: number;
  /** The multiple of the rates at the end. @default 0 */
  readonly floor?: number;
}

/** A schedule with all fields; `warmup` and `decay` in steps. */
export type ResolvedSchedule = Required<LearningSchedule>;

const scheduleNames = { kind: true, warmup: true, decay: true, floor: true } as const;

/** Checks a schedule for a run of `steps` steps and fills in defaults. */
export function readSchedule(given: LearningSchedule | undefined, steps: number): ResolvedSchedule {
  const {
    kind = 'constant',
    warmup = 0,
    decay = 0.2,
    floor = 0,
  } = optionsObject('schedule', given, scheduleNames);
  const count = (name: string, value: number) =>
    value > 0 && value < 1
      ? Math.max(1, Math.round(value * steps))
      : integerOption(`schedule.${name}`, numberOption(`schedule.${name}`, value, 0), 0, steps);
  return {
    kind: wordOption('schedule.kind', kind, scheduleKinds),
    warmup: count('warmup', warmup),
    decay: count('decay', decay),
    floor: numberOption('schedule.floor', floor, 0, 1),
  };
}

/** Factor of the learning rates in step `step`, from 0, of `steps`. */
export function scheduleFactor(
  { kind, warmup, decay, floor }: ResolvedSchedule,
  step: number,
  steps: number,
): number {
  if (step < warmup) return (step + 1) / warmup;
  const range = 1 - floor;
  switch (kind) {
    case 'constant':
      return 1;
    case 'linear':
      return floor + (range * (steps - step)) / (steps - warmup);
    case 'cosine':
      return floor + (range * (1 + Math.cos((Math.PI * (step - warmup)) / (steps - warmup)))) / 2;
    case 'wsd':
    case 'wsd-sqrt': {
      const x = (step - (steps - decay)) / decay;
      if (!(x > 0)) return 1;
      return floor + range * (1 - (kind === 'wsd' ? x : Math.sqrt(x)));
    }
  }
}

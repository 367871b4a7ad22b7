import { booleanOption, callbackOption, integerOption, signalOption, wordOption } from '../support/validate';
import type { RunControl } from './train-types';

/** `RunControl` with all defaults. */
export interface Control extends Pick<RunControl, 'device' | 'threads' | 'onProgress' | 'signal'> {
  readonly recompute: 'none' | 'attention' | 'layer';
  readonly saveEvery: number;
  readonly saveLimit: number;
  readonly saveDtype: 'f32' | 'bf16';
  readonly saveOnlyModel: boolean;
  readonly logEvery: number;
  readonly tensorBoard: boolean;
}

/** The fields that run.json keeps: a resumed run has them, too. */
export type SavedControl = Pick<
  RunControl,
  'recompute' | 'saveEvery' | 'saveLimit' | 'saveDtype' | 'saveOnlyModel' | 'logEvery' | 'tensorBoard'
>;

/** Checks the given options and takes those that are missing from the saved ones, or the defaults. */
export function readControl(given: RunControl, saved: SavedControl = {}): Control {
  const { device, threads, onProgress } = given;
  callbackOption('onProgress', onProgress);
  const of = <K extends keyof SavedControl>(name: K): SavedControl[K] => given[name] ?? saved[name];
  const saveLimit = of('saveLimit');
  return {
    device,
    threads,
    onProgress,
    signal: signalOption(given.signal),
    recompute: wordOption('recompute', of('recompute') ?? 'none', ['none', 'attention', 'layer']),
    saveEvery: integerOption('saveEvery', of('saveEvery') ?? 500, 1),
    saveLimit: saveLimit === undefined ? Infinity : integerOption('saveLimit', saveLimit, 1),
    saveDtype: wordOption('saveDtype', of('saveDtype') ?? 'f32', ['f32', 'bf16']),
    saveOnlyModel: booleanOption('saveOnlyModel', of('saveOnlyModel'), false),
    logEvery: integerOption('logEvery', of('logEvery') ?? 1, 1),
    tensorBoard: booleanOption('tensorBoard', of('tensorBoard'), true),
  };
}

/** What run.json keeps of it. */
export function savedControl(control: Control): SavedControl {
  const { recompute, saveEvery, saveLimit, saveDtype, saveOnlyModel, logEvery, tensorBoard } = control;
  return {
    recompute,
    saveEvery,
    ...(saveLimit === Infinity ? {} : { saveLimit }),
    saveDtype,
    saveOnlyModel,
    logEvery,
    tensorBoard,
  };
}

import { types } from 'node:util';
import type {
  TrainingBatch as NativeBatch,
  TrainingLosses as NativeLosses,
  Trainer as NativeTrainer,
  ParameterArray,
} from '../../types/native';
import { readCheckpoint } from '../checkpoint/folder';
import type { StoredTensor } from '../checkpoint/tensors';
import { abortable } from '../runtime/abort';
import { loadBinding, type Native } from '../runtime/binding';
import { trainingDevice } from '../runtime/device';
import { threadsOption } from '../runtime/threads';
import { fromNative, RND1Error } from '../support/errors';
import {
  booleanOption,
  callbackOption,
  numberOption,
  optionsObject,
  quote,
  signalOption,
  stringOption,
  wordOption,
} from '../support/validate';
import { nativeBatches, scoredRows } from './trainer-batch';
import { decays, groupOf, type Optimizer, ratesByRole, readOptimizer } from './trainer-groups';
import { lossesOf, squaredNormsOf } from './trainer-report';
import { type SavedModel, saveTrainer } from './trainer-save';
import { readState, type SavedState } from './trainer-state';
import type {
  Moments,
  SaveOptions,
  StepOptions,
  StepResult,
  TrainedTensor,
  TrainerInfo,
  TrainerOptions,
  TrainingBatch,
  TrainingLosses,
} from './trainer-types';
import { elements } from './weight-files';

const optionNames = {
  optimizer: true,
  dtype: true,
  device: true,
  threads: true,
  recompute: true,
  resume: true,
  onProgress: true,
  signal: true,
} as const;

/**
 * A model in training: losses and gradients of batches, and steps of AdamW, in f32. The results have the same
 * bits for any number of threads. Models with sigmoid routers and quantized weights cannot be trained.
 */
export class Trainer {
  readonly #native: Native;
  readonly #trainer: NativeTrainer;
  readonly #model: SavedModel;
  readonly #optimizer: Optimizer;
  readonly #rates: ReadonlyMap<string, number>;
  readonly #stored: ReadonlyMap<string, StoredTensor>;
  /** Of `info.parameters`, at rate 1. */
  readonly #learningRates: Float64Array;
  readonly #weightDecays: Float64Array;
  /** Numbers of the layers with experts. */
  readonly #expertLayers: readonly number[];
  /** What `save` was given as `state`; null if the trainer was not resumed. */
  readonly savedState: SavedState['state'] | null;
  #steps: number;
  #calls: Promise<unknown> = Promise.resolve();

  private constructor(
    native: Native,
    trainer: NativeTrainer,
    model: SavedModel,
    expertLayers: readonly number[],
    optimizer: Optimizer,
    saved: SavedState | null,
  ) {
    this.#native = native;
    this.#trainer = trainer;
    this.#model = model;
    this.#expertLayers = expertLayers;
    this.#optimizer = optimizer;
    this.#steps = saved?.steps ?? 0;
    this.savedState = saved?.state ?? null;
    this.#stored = new Map(model.stored.map((tensor) => [tensor.name, tensor]));
    const { parameters } = trainer.info;
    this.#rates = ratesByRole(optimizer, model.stored);
    this.#learningRates = Float64Array.from(parameters, ({ role }) => this.#rates.get(role) ?? 0);
    this.#weightDecays = Float64Array.from(parameters, ({ role, shape }) =>
      decays(role, shape) ? optimizer.weightDecay : 0,
    );
  }

  /**
   * Opens the folder of an unquantized checkpoint; its weights are widened to f32.
   *
   * @throws RND1Error `invalid_checkpoint`, `unsupported_model`, `io`, `out_of_memory`
   */
  static async open(folder: string, given: TrainerOptions): Promise<Trainer> {
    stringOption('folder', folder);
    const options = optionsObject('options', given, optionNames);
    if (options.optimizer === undefined) throw new TypeError('optimizer is missing');
    const optimizer = readOptimizer(options.optimizer);
    const dtype = wordOption('dtype', options.dtype ?? 'f32', ['f32', 'bf16']);
    const recompute = wordOption('recompute', options.recompute ?? 'none', ['none', 'attention', 'layer']);
    const device = trainingDevice(options.device ?? 'cpu');
    const threads = threadsOption(options.threads);
    const resume = booleanOption('resume', options.resume, false);
    const { onProgress } = options;
    callbackOption('onProgress', onProgress);
    const signal = signalOption(options.signal);
    const { config, manifest, selected, files } = await readCheckpoint(folder);
    if (config.quantization !== null || files.kind === 'gguf') {
      const what = files.kind === 'gguf' ? 'a GGUF file' : 'quantized';
      throw new RND1Error(
        'unsupported_model',
        `${folder} is ${what}: only the folders of unquantized checkpoints can be trained`,
      );
    }
    const state = resume ? await readState(folder) : null;
    const native = loadBinding();
    const rates = ratesByRole(optimizer, selected.stored);
    const frozen = [...rates].flatMap(([role, rate]) => (rate === 0 ? [role] : []));
    const description = {
      architecture: config.architecture,
      files: manifest.files,
      tensors: selected.tensors,
      device,
      threads,
      frozen,
      recompute,
      dtype,
    };
    const report =
      onProgress === undefined
        ? null
        : (bytes: number, totalBytes: number, tensors: number, totalTensors: number) =>
            onProgress({ bytes, totalBytes, tensors, totalTensors });
    const trainer = await abortable(
      new native.AbortFlag(),
      signal,
      (flag) => native.Trainer.open(description, report, flag),
      (late) => void late.dispose(),
    );
    const result = new Trainer(
      native,
      trainer,
      { files, raw: config.raw, stored: selected.stored },
      config.architecture.layers.flatMap(({ mlp }, layer) => (mlp.kind === 'dense' ? [] : [layer])),
      optimizer,
      state,
    );
    try {
      await state?.restore(
        [...result.#trained()],
        (name, moments) => result.setMoments(name, moments),
        (name, values) => result.setParameter(name, values),
      );
    } catch (error) {
      await result.dispose();
      throw error;
    }
    return result;
  }

  /** Device, threads and memory. */
  get info(): TrainerInfo {
    const { device, instructionSet, threads, bytes } = this.#trainer.info;
    return { folder: this.#model.files.place, device, instructionSet, threads, bytes };
  }

  /** Steps of the optimizer that were applied. */
  get steps(): number {
    return this.#steps;
  }

  /** All tensors of the checkpoint that are parameters, in the order of the model's graph. */
  get tensors(): TrainedTensor[] {
    return this.#model.stored.map(({ name, shape, parts }) => {
      const role = parts[0]?.role ?? '';
      const group = groupOf(role);
      return {
        name,
        shape,
        group,
        learningRate: this.#rates.get(role) ?? 0,
        weightDecay: decays(role, shape) ? this.#optimizer.weightDecay : 0,
      };
    });
  }

  /** Losses of one or more batches; their gradients are added up, and replace earlier ones. */
  async lossAndGradients(
    batches: TrainingBatch | readonly TrainingBatch[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<TrainingLosses> {
    const given = nativeBatches(batches);
    return this.#losses(given, signal, (flag) => this.#trainer.lossAndGradients(given, flag));
  }

  /** The same losses without gradients: earlier ones stay. */
  async losses(
    batches: TrainingBatch | readonly TrainingBatch[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<TrainingLosses> {
    const given = nativeBatches(batches);
    return this.#losses(given, signal, (flag) => this.#trainer.losses(given, flag));
  }

  /**
   * One step of the optimizer over one or more batches, whose gradients are added up. After an abort, parameters and
   * moments are as before. A step whose gradients are not finite changes nothing: `applied` is false.
   */
  async step(
    batches: TrainingBatch | readonly TrainingBatch[],
    { rate: givenRate, batchNorms: givenNorms, signal }: StepOptions = {},
  ): Promise<StepResult> {
    const given = nativeBatches(batches);
    if (givenRate !== undefined) numberOption('rate', givenRate, 0);
    const batchNorms = booleanOption('batchNorms', givenNorms, false);
    const checked = signalOption(signal);
    // One after another: a step's number depends on whether the one before was applied.
    return this.#inTurn(async () => {
      const { warmup, betas, epsilon, clip } = this.#optimizer;
      const rate = givenRate ?? (this.#steps < warmup ? (this.#steps + 1) / warmup : 1);
      const step = {
        learningRates: this.#learningRates.map((each) => each * rate),
        weightDecays: this.#weightDecays,
        beta1: betas[0],
        beta2: betas[1],
        epsilon,
        step: this.#steps + 1,
        maxNorm: clip,
        batchNorms,
      };
      const scored = scoredRows(given);
      let running: Promise<unknown> = Promise.resolve();
      try {
        const outcome = await this.#call(checked, (flag) => {
          const call = this.#trainer.step(given, step, flag);
          running = call;
          return call;
        });
        const { losses, gradientNorm, clipScale, applied, squaredNorms, forward, backward, optimizer } =
          outcome;
        if (applied) this.#steps++;
        return {
          losses: lossesOf(losses, scored, this.#expertLayers),
          gradientNorm,
          clipScale,
          rate,
          applied,
          milliseconds: { forward, backward, optimizer },
          ...(squaredNorms === null
            ? {}
            : {
                squaredNorms: squaredNormsOf(squaredNorms, this.#trainer.info.parameters, this.#model.stored),
              }),
        };
      } catch (error) {
        // An aborted call may have been too far to be stopped.
        const late = (await running.catch(() => null)) as { applied?: boolean } | null;
        if (late?.applied) this.#steps++;
        throw error;
      }
    });
  }

  /** A copy of a parameter, by its name in the checkpoint. */
  async parameter(name: string): Promise<Float32Array> {
    return this.#read(name, 'value');
  }

  /** A copy of its gradient, by the last `lossAndGradients` or `step`, before clipping. RangeError for frozen ones. */
  async gradient(name: string): Promise<Float32Array> {
    return this.#read(name, 'gradient');
  }

  /** Replaces a parameter. */
  async setParameter(name: string, values: Float32Array): Promise<void> {
    await this.#write(name, 'value', values);
  }

  /** Copies of its moments. RangeError for frozen ones. */
  async moments(name: string): Promise<Moments> {
    return {
      first: await this.#read(name, 'firstMoment'),
      second: await this.#read(name, 'secondMoment'),
    };
  }

  /** Replaces its moments. */
  async setMoments(name: string, { first, second }: Moments): Promise<void> {
    await this.#write(name, 'firstMoment', first);
    await this.#write(name, 'secondMoment', second);
  }

  /**
   * Writes a checkpoint into a new folder, which appears when it is complete, with the optimizer's state unless that is
   * not wanted.
   *
   * @throws RND1Error `io`
   */
  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    stringOption('folder', folder);
    // No step changes the parameters meanwhile.
    await this.#inTurn(() =>
      saveTrainer(folder, options, {
        ...this.#model,
        steps: this.#steps,
        trained: new Set(this.#trained()),
        parameter: (name) => this.parameter(name),
        moments: (name) => this.moments(name),
      }),
    );
  }

  /** Aborts the running call and frees the memory. Later calls fail with code `disposed`. */
  async dispose(): Promise<void> {
    await this.#trainer.dispose();
  }

  /** `dispose`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** Names of tensors that have moments. */
  *#trained(): Generator<string> {
    for (const { name, learningRate } of this.tensors) if (learningRate > 0) yield name;
  }

  async #losses(
    given: readonly NativeBatch[],
    signal: AbortSignal | undefined,
    call: (flag: InstanceType<Native['AbortFlag']>) => Promise<NativeLosses>,
  ): Promise<TrainingLosses> {
    const scored = scoredRows(given);
    return lossesOf(await this.#call(signalOption(signal), call), scored, this.#expertLayers);
  }

  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#calls.then(call);
    this.#calls = result.catch(() => {});
    return result;
  }

  #call<T>(
    signal: AbortSignal | undefined,
    call: (flag: InstanceType<Native['AbortFlag']>) => Promise<T>,
  ): Promise<T> {
    return abortable(new this.#native.AbortFlag(), signal, call);
  }

  /** The roles of a tensor and their numbers of elements: it is their rows, one after another. */
  #partsOf(name: string): { role: string; count: number }[] {
    const stored = this.#stored.get(stringOption('name', name));
    if (stored === undefined) throw new RangeError(`the checkpoint has no parameter ${quote(name)}`);
    return stored.parts.map(({ role, shape }) => ({
      role,
      count: elements(shape),
    }));
  }

  async #read(name: string, array: ParameterArray): Promise<Float32Array> {
    const parts = this.#partsOf(name);
    const values = await Promise.all(parts.map(({ role }) => this.#trainer.read(role, array))).catch(fail);
    const [first] = values;
    if (first !== undefined && values.length === 1) return first;
    const whole = new Float32Array(values.reduce((sum, { length }) => sum + length, 0));
    let offset = 0;
    for (const part of values) {
      whole.set(part, offset);
      offset += part.length;
    }
    return whole;
  }

  async #write(name: string, array: ParameterArray, values: Float32Array): Promise<void> {
    const parts = this.#partsOf(name);
    const total = parts.reduce((sum, { count }) => sum + count, 0);
    if (!types.isFloat32Array(values) || values.length !== total)
      throw new RangeError(`${quote(name)} needs a Float32Array of ${total} values`);
    let offset = 0;
    for (const { role, count } of parts) {
      await this.#trainer.write(role, array, values.subarray(offset, offset + count)).catch(fail);
      offset += count;
    }
  }
}

function fail(error: unknown): never {
  throw fromNative(error);
}

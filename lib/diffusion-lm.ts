/// <reference lib="esnext.disposable" preserve="true" />
import type { Session } from '../types/native';
import { withJSON } from './api/json';
import type {
  FillOptions,
  ForwardOptions,
  ForwardOutput,
  GenerateOptions,
  InfillInput,
  InfillOptions,
  LoadOptions,
  LoadRequest,
  SamplingOptions,
  StepReport,
  Template,
  TextFrame,
  TextResult,
  TokenFrame,
  TokenIds,
  TokenOptions,
  TokenResult,
  UnmaskRequest,
  UnmaskResult,
} from './api/types';
import type { ModelConfig } from './checkpoint/config';
import { TextWorkers } from './checkpoint/tokenizer/text-workers';
import type { Tokenizer } from './checkpoint/tokenizer/tokenizer';
import { checkInOrder, writeInOrder } from './denoising/autoregression';
import { buildCanvas, type Canvas, type CanvasModel, canvasModelOf } from './denoising/canvas';
import { denoise, type Stepper } from './denoising/loop';
import { readSampling } from './denoising/sampling-options';
import { scoreAndUnmask } from './denoising/score-and-unmask';
import { drain, type Opening, settledText, withText } from './denoising/stream';
import {
  type AnswerCanvas,
  defaultTaskTemplate,
  fillCanvas,
  generateCanvas,
  infillCanvas,
  type TextCanvas,
  type TextModel,
  type TextPlan,
} from './denoising/text-canvas';
import { familyTitle } from './families';
import { isCausal } from './families/traits';
import { type LoadedModel, loadModel, type ModelInfo } from './load';
import { abortable } from './runtime/abort';
import { Batcher } from './runtime/batcher';
import type { Native } from './runtime/binding';
import { forwardOutput, forwardRequest } from './runtime/forward-request';
import { type Attempt, attempt } from './support/attempt';
import { RND1Error } from './support/errors';
import { fillNames, forwardNames, generateNames, infillNames, tokenNames } from './support/option-names';
import { bannedList, booleanOption, optionsObject, quote, signalOption } from './support/validate';

/** Node.js defines it, but other realms of the same process (test runners create them) may not. */
const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? (Symbol.for('Symbol.asyncDispose') as typeof Symbol.asyncDispose);

/** `util.inspect.custom`, declared here so that this class's declaration does not depend on the types of Node.js. */
const inspectCustom: unique symbol = Symbol.for('nodejs.util.inspect.custom');

/** One run of the loop, ready to start. */
interface Run {
  readonly canvas: Canvas;
  readonly banned: Int32Array;
  readonly stopAtEos: boolean;
  readonly sampling: ReturnType<typeof readSampling>;
}

/**
 * A masked-diffusion language model, or a causal one, which writes its canvases from left to right. Calls may run
 * concurrently: they share steps of the model, and each returns what it would return alone.
 *
 * Arguments are validated and copied when a method is called; invalid ones reject its promise, or the first `next()` of
 * its generator. After `dispose`, every call that needs the model fails with `disposed`.
 */
export class DiffusionLM {
  readonly #native: Native;
  readonly #session: Session;
  readonly #batcher: Batcher;
  readonly #canvasModel: CanvasModel;
  readonly #stepListeners = new Set<(report: StepReport) => void>();
  #disposing: Promise<void> | null = null;

  /** The checkpoint's config.json and generation_config.json, checked. */
  readonly config: ModelConfig;
  /** Checkpoint, device, dtypes and memory. */
  readonly info: ModelInfo;
  /** null when the checkpoint has no tokenizer.json; text methods then fail with `tokenizer_missing`. */
  readonly tokenizer: Tokenizer | null;
  /** @hidden Tokenizes the texts of prompts. */
  readonly textWorkers: TextWorkers;

  private constructor(loaded: LoadedModel) {
    if (loaded?.session === undefined) throw new TypeError('a model is made by DiffusionLM.load, not by new');
    const { native, session, config, tokenizer, info, maxRowsPerStep, promptTimeout } = loaded;
    this.#native = native;
    this.#session = session;
    this.#batcher = new Batcher(session, () => new native.AbortFlag(), {
      maxRows: maxRowsPerStep,
      onStep: (report) => {
        // On a later tick, so that a listener that throws does not fail the step.
        for (const listener of this.#stepListeners) process.nextTick(listener, report);
      },
    });
    this.config = config;
    this.info = info;
    this.tokenizer = tokenizer;
    const { folder } = info;
    const { vocabulary } = config.architecture;
    this.textWorkers = new TextWorkers({ tokenizer, folder, vocabulary, limit: promptTimeout });
    this.#canvasModel = canvasModelOf(config);
  }

  /**
   * Loads a checkpoint in the Hugging Face layout.
   *
   * @param path the checkpoint's folder, or its name on the Hugging Face hub, from which it is fetched unless it is in
   *   the cache (see `downloadCheckpoint`); an existing folder takes precedence. If omitted, the small model included
   *   in this package
   * @throws RND1Error `io`, `invalid_checkpoint`, `unsupported_model`, `addon_not_found`, `out_of_memory`,
   *   `cuda_unavailable` or `cuda_error`; for a name also `access_denied`, `not_found`, `offline` or `network`
   */
  static async load(path?: string, options?: LoadOptions): Promise<DiffusionLM>;
  /** The same with a single object: `DiffusionLM.load({ model, dtype })`. */
  static async load(request?: LoadRequest): Promise<DiffusionLM>;
  static async load(path?: string | LoadRequest, options?: LoadOptions): Promise<DiffusionLM> {
    return new DiffusionLM(await loadModel(path, options));
  }

  /**
   * Answers or continues a prompt.
   *
   * @returns the text up to its end, and its tokens
   * @throws RND1Error `tokenizer_missing`, `prompt_too_expensive`, `not_finite`, `out_of_memory`, `io`, `cuda_error` or
   *   `disposed`
   * @throws TypeError or RangeError for invalid arguments, quoting the value; the signal's reason when it aborts
   */
  async generate(prompt: string, options?: GenerateOptions): Promise<TextResult> {
    return drain(this.denoise(prompt, options));
  }

  /**
   * `generate`, step by step. Nothing is computed until the next frame is requested.
   *
   * @returns a generator that yields a frame for each step that commits something, and returns the result of `generate`
   * @throws as `generate`, when the next frame is requested
   */
  denoise(prompt: string, options?: GenerateOptions): AsyncGenerator<TextFrame, TextResult, void> {
    return withText(this.#openAnswer(prompt, options));
  }

  /**
   * `generate`, as text from left to right: each part is yielded as soon as no later step can change it. Steps commit
   * positions anywhere, so long pauses and large parts are normal.
   *
   * @returns a generator of parts which, joined, are the `text` of `generate` with the same seed; it returns its result
   * @throws as `generate`, when the next part is requested
   */
  stream(prompt: string, options?: GenerateOptions): AsyncGenerator<string, TextResult, void> {
    return settledText(this.#openAnswer(prompt, options));
  }

  /**
   * Writes `length` tokens between two texts. Nothing is trimmed.
   *
   * @returns the whole text, and its tokens
   * @throws as `generate`
   */
  async infill(input: InfillInput, options?: InfillOptions): Promise<TextResult> {
    return drain(this.denoiseInfill(input, options));
  }

  /** `infill`, step by step, as `denoise` does for `generate`. */
  denoiseInfill(input: InfillInput, options?: InfillOptions): AsyncGenerator<TextFrame, TextResult, void> {
    const open = this.#open(options, infillNames, (_, model) => {
      this.#checkFills();
      return { plan: infillCanvas(input, model), stopAtEos: false };
    });
    return withText(open);
  }

  /**
   * Fills holes anywhere in a text: `'The capital of France is ___.'`, or a list of texts and `{ length }`.
   *
   * @returns the whole text, the text of each hole, and the tokens
   * @throws as `generate`
   */
  async fill(template: Template, options?: FillOptions): Promise<TextResult> {
    return drain(this.denoiseFill(template, options));
  }

  /** `fill`, step by step, as `denoise` does for `generate`. */
  denoiseFill(template: Template, options?: FillOptions): AsyncGenerator<TextFrame, TextResult, void> {
    const open = this.#open(options, fillNames, (given: FillOptions, model) => {
      this.#checkFills();
      return { plan: fillCanvas(template, given, model), stopAtEos: false };
    });
    return withText(open);
  }

  /**
   * The loop on token ids: nothing is banned, nothing is trimmed, no tokenizer is needed.
   *
   * @returns a generator that yields a frame for each step that commits something, and returns the final canvas
   * @throws as `generate`, except `tokenizer_missing` and `prompt_too_expensive`
   */
  denoiseTokens(options?: TokenOptions): AsyncGenerator<TokenFrame, TokenResult, void> {
    const prepared = attempt(() => {
      const given = optionsObject('options', options, tokenNames);
      const { vocabulary, causal } = this.#canvasModel;
      const canvas = buildCanvas(given, this.#canvasModel);
      if (causal) checkInOrder(canvas);
      return {
        canvas,
        banned: bannedList(given.banned, vocabulary),
        stopAtEos: booleanOption('stopAtEos', given.stopAtEos, causal),
        sampling: readSampling(given),
      };
    });
    return this.#run(prepared);
  }

  /** Runs `denoiseTokens` to its end and returns its result. */
  async generateTokens(options?: TokenOptions): Promise<TokenResult> {
    return drain(this.denoiseTokens(options));
  }

  /**
   * One forward pass: the logits of every position. Those of position i − `predictionShift` (of `config.architecture`)
   * predict the token at position i; RND1's shift is 1.
   *
   * @returns logits [R, vocabulary], and on request hidden states and routing; R = all positions or `positions`
   * @throws RND1Error `out_of_memory`, `io`, `cuda_error` or `disposed`; NaN and infinity are returned, not thrown
   */
  async forward(tokens: TokenIds, options?: ForwardOptions): Promise<ForwardOutput> {
    const given = optionsObject('options', options, forwardNames);
    const { architecture } = this.config;
    const request = forwardRequest(tokens, given, architecture);
    const signal = signalOption(given.signal);
    this.#checkUsable();
    const [result] = await abortable(new this.#native.AbortFlag(), signal, (flag) =>
      this.#session.forward([request], flag),
    );
    return withJSON(forwardOutput(request, result as NonNullable<typeof result>, architecture));
  }

  /**
   * Calls `listener` after every step of the model, which may be shared by many calls.
   *
   * @returns a function that removes the listener
   */
  onStep(listener: (report: StepReport) => void): () => void {
    if (typeof listener !== 'function')
      throw new TypeError(`listener must be a function, not ${quote(listener)}`);
    const own = (report: StepReport) => listener(report);
    this.#stepListeners.add(own);
    return () => void this.#stepListeners.delete(own);
  }

  /** Calls the function `scoreAndUnmask`. */
  scoreAndUnmask(logits: Float32Array, request: UnmaskRequest): Promise<UnmaskResult> {
    return scoreAndUnmask(logits, request);
  }

  /** Aborts the running step, rejects pending calls with `disposed`, and frees the model. May be called repeatedly. */
  dispose(): Promise<void> {
    this.#disposing ??= (async () => {
      this.textWorkers.close();
      this.#batcher.dispose();
      await this.#session.dispose();
    })();
    return this.#disposing;
  }

  /** `dispose`, for `await using`. */
  [asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** The text that `console.log` shows. */
  [inspectCustom](): string {
    const { folder, device, instructionSet, dtype, weightDtype } = this.info;
    const weights = weightDtype.startsWith('q') ? `, ${weightDtype} weights` : '';
    const state = this.#disposing === null ? '' : ', disposed';
    return `DiffusionLM { ${folder}, ${device} (${instructionSet}), ${dtype}${weights}${state} }`;
  }

  async *#run(prepared: Attempt<Run>): AsyncGenerator<TokenFrame, TokenResult, void> {
    const run = prepared();
    this.#checkUsable();
    const step: Stepper = (canvas, signal) => this.#batcher.step(canvas, signal);
    if (this.#canvasModel.causal) return yield* writeInOrder(run, step);
    const steps = run.sampling.steps ?? Math.min(this.config.generation.steps, run.canvas.masked.length);
    const denoising = { ...run, sampling: { ...run.sampling, steps } };
    return yield* denoise(denoising, step);
  }

  #openAnswer(prompt: string, options: GenerateOptions | undefined): Opening<AnswerCanvas> {
    return this.#open(options, generateNames, (given: GenerateOptions, model) => ({
      plan: generateCanvas(prompt, given, model),
      stopAtEos: booleanOption('stopAtEos', given.stopAtEos, true),
    }));
  }

  /** Reads the arguments at once; errors in them are thrown when the canvas is opened. */
  #open<O extends SamplingOptions, T extends TextCanvas>(
    options: O | undefined,
    names: Readonly<Record<keyof O, true>>,
    prepare: (options: O, model: TextModel) => { readonly plan: TextPlan<T>; readonly stopAtEos: boolean },
  ): Opening<T> {
    const prepared = attempt(() => {
      const given = optionsObject<O>('options', options, names);
      return { ...prepare(given, this.#textModel()), sampling: readSampling(given) };
    });
    return async () => {
      const { plan, stopAtEos, sampling } = prepared();
      this.#checkUsable();
      const text = plan.layOut(await this.textWorkers.encode(plan.texts, sampling.signal));
      const { canvas, banned } = text;
      if (this.#canvasModel.causal) checkInOrder(canvas);
      return { text, frames: this.#run(() => ({ canvas, banned, stopAtEos, sampling })) };
    };
  }

  #textModel(): TextModel {
    if (this.tokenizer === null) {
      throw new RND1Error(
        'tokenizer_missing',
        `${this.info.folder} has no tokenizer.json: text methods need one, denoiseTokens and generateTokens do not`,
      );
    }
    const taskTemplate = this.config.generation.taskTemplate ?? defaultTaskTemplate;
    return { ...this.#canvasModel, tokenizer: this.tokenizer, taskTemplate };
  }

  /** Throws if text after a hole would be ignored. */
  #checkFills(): void {
    const { family, architecture } = this.config;
    if (!isCausal(architecture)) return;
    throw new RND1Error(
      'unsupported_model',
      `${this.info.folder}: ${familyTitle(family)} writes from left to right: it generates, but cannot fill in text`,
    );
  }

  #checkUsable(): void {
    if (this.#disposing !== null) throw new RND1Error('disposed', 'the model was disposed');
  }
}

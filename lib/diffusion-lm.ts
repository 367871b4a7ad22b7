/// <reference lib="esnext.disposable" preserve="true" />
import type { ForwardRequest, Session } from '../types/native';
import { withJSON } from './api/json';
import type {
  ChatMessage,
  ChatOptions,
  FillOptions,
  ForwardAllOptions,
  ForwardCanvas,
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
import { ChatPrompts, type ChatPromptsOptions } from './chat/chat-prompts';
import { familyTemplateOf } from './chat/family-template';
import type { ModelConfig } from './checkpoint/config';
import { TextWorkers } from './checkpoint/tokenizer/text-workers';
import type { Tokenizer } from './checkpoint/tokenizer/tokenizer';
import { checkInOrder } from './denoising/autoregression';
import { readCache } from './denoising/cache-option';
import { buildCanvas, type CanvasModel, canvasModelOf } from './denoising/canvas';
import { checkCausal } from './denoising/causal-options';
import type { Stepper } from './denoising/pass';
import { presetOf, type Run, start, tokenRun } from './denoising/run';
import { readSampling } from './denoising/sampling-options';
import { scoreAndUnmask } from './denoising/score-and-unmask';
import { drain, settledText, withText } from './denoising/stream';
import { type LoadedModel, loadModel, type ModelInfo } from './load';
import { abortable } from './runtime/abort';
import { Batcher } from './runtime/batcher';
import type { Native } from './runtime/binding';
import { Caches, cacheBytesPerPosition } from './runtime/caches';
import { forwardOutput, forwardRequest } from './runtime/forward-request';
import { type Attempt, attempt } from './support/attempt';
import { RND1Error } from './support/errors';
import { forwardAllNames, forwardCanvasNames, forwardNames, tokenNames } from './support/option-names';
import { optionsObject, quote, signalOption } from './support/validate';
import { TextCalls, taskTemplateOf } from './text-calls';

/** Node.js defines it, but other realms of the same process (test runners create them) may not. */
const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? (Symbol.for('Symbol.asyncDispose') as typeof Symbol.asyncDispose);

/** `util.inspect.custom`, declared here so that this class's declaration does not depend on the types of Node.js. */
const inspectCustom: unique symbol = Symbol.for('nodejs.util.inspect.custom');

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
  readonly #caches: Caches;
  readonly #canvasModel: CanvasModel;
  readonly #texts: TextCalls;
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
  /** @hidden Renders the checkpoint's chat template. */
  readonly chatPrompts: ChatPrompts;

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
    this.#caches = new Caches(session, () => new native.AbortFlag(), {
      bytesPerPosition: cacheBytesPerPosition(config.architecture, info.dtype),
      maxBytes: info.maxCacheBytes,
      maxPositions: config.architecture.maxPositions,
    });
    this.config = config;
    this.info = info;
    this.tokenizer = tokenizer;
    const { folder } = info;
    const { vocabulary } = config.architecture;
    this.textWorkers = new TextWorkers({ tokenizer, folder, vocabulary, limit: promptTimeout });
    this.#canvasModel = canvasModelOf(config);
    this.chatPrompts = this.openChatPrompts({ choice: 'auto', closed: disposed });
    this.#texts = new TextCalls({
      folder,
      config,
      tokenizer,
      textWorkers: this.textWorkers,
      chatPrompts: this.chatPrompts,
      canvasModel: this.#canvasModel,
      readOptions: (options) => this.#readOptions(options),
      checkUsable: () => this.#checkUsable(),
      run: (run) => this.#run(() => run),
    });
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
   * Answers or continues a prompt, in the form that `mode` names.
   *
   * @returns the text up to its end, and its tokens
   * @throws RND1Error `tokenizer_missing`, `prompt_too_expensive`, `not_finite`, `out_of_memory`, `io`, `cuda_error` or
   *   `disposed`; in chat mode also as `chat`
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
    return withText(this.#texts.answer(prompt, options));
  }

  /**
   * `generate`, as text from left to right: each part is yielded as soon as no later step can change it. Steps commit
   * positions anywhere, so long pauses and large parts are normal. With `editing` there is a single part, at the end.
   *
   * @returns a generator of parts which, joined, are the `text` of `generate` with the same seed; it returns its result
   * @throws as `generate`, when the next part is requested
   */
  stream(prompt: string, options?: GenerateOptions): AsyncGenerator<string, TextResult, void> {
    return settledText(this.#texts.answer(prompt, options));
  }

  /**
   * Answers the last message of a conversation, which the model's chat template turns into a prompt: the checkpoint's or,
   * if it has none, its family's. The answer ends at the first token that ends a text or a turn.
   *
   * @returns the answer, and its tokens
   * @throws RND1Error `chat_template_missing` for base models, `chat_template_failed` for messages that the template
   *   refuses, `invalid_checkpoint` for a template that cannot be parsed
   * @throws as `generate`; RangeError also for a conversation that is longer than the model's longest canvas
   */
  async chat(messages: readonly ChatMessage[], options?: ChatOptions): Promise<TextResult> {
    return drain(this.denoiseChat(messages, options));
  }

  /** `chat`, step by step, as `denoise` does for `generate`. */
  denoiseChat(
    messages: readonly ChatMessage[],
    options?: ChatOptions,
  ): AsyncGenerator<TextFrame, TextResult, void> {
    return withText(this.#texts.chat(messages, options));
  }

  /** `chat`, as text from left to right, as `stream` does for `generate`. */
  streamChat(
    messages: readonly ChatMessage[],
    options?: ChatOptions,
  ): AsyncGenerator<string, TextResult, void> {
    return settledText(this.#texts.chat(messages, options));
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
    return withText(this.#texts.infill(input, options));
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
    return withText(this.#texts.fill(template, options));
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
      const read = this.#readOptions(given);
      const canvas = buildCanvas(given, this.#canvasModel);
      if (this.#canvasModel.causal) checkInOrder(canvas);
      return tokenRun(canvas, read, given, this.#canvasModel);
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
    // One by one, because they may be inherited.
    const { positions, hidden, routing, forcedExperts, blockLength, signal } = given;
    const canvas = { tokens, positions, hidden, routing, forcedExperts };
    const [output] = await this.forwardAll([canvas], { blockLength, signal });
    return output as ForwardOutput;
  }

  /**
   * `forward` of several canvases in one pass, for which the weights are read once. Memory grows with all their tokens.
   *
   * @returns one output for each canvas, as `forward` returns it
   * @throws as `forward`
   */
  async forwardAll(
    canvases: readonly ForwardCanvas[],
    options?: ForwardAllOptions,
  ): Promise<ForwardOutput[]> {
    const { blockLength, signal } = optionsObject('options', options, forwardAllNames);
    const { architecture } = this.config;
    const requests = canvases.map((canvas, i) => {
      const given = optionsObject(`canvases[${i}]`, canvas, forwardCanvasNames);
      const { tokens, positions, hidden, routing, forcedExperts } = given;
      return forwardRequest(tokens, { positions, hidden, routing, forcedExperts, blockLength }, architecture);
    });
    const checked = signalOption(signal);
    this.#checkUsable();
    if (requests.length === 0) return [];
    const results = await abortable(new this.#native.AbortFlag(), checked, (flag) =>
      this.#session.forward(requests, flag),
    );
    return results.map((result, i) =>
      withJSON(forwardOutput(requests[i] as ForwardRequest, result, architecture)),
    );
  }

  /**
   * Bytes of the key/value caches, at most `info.maxCacheBytes`: those of the runs in progress, and those that finished
   * runs have left for texts that begin alike.
   */
  get cacheBytes(): number {
    return this.#caches.bytes;
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

  /** @hidden Another chat template, in a thread of its own. */
  openChatPrompts(options: Pick<ChatPromptsOptions, 'choice' | 'onLost' | 'closed'>): ChatPrompts {
    const { config, info, tokenizer, textWorkers } = this;
    return new ChatPrompts({
      ...options,
      folder: info.folder,
      familyTemplate: familyTemplateOf(config.family, tokenizer),
      taskTemplate: taskTemplateOf(config),
      limit: textWorkers.limit,
    });
  }

  /** Aborts the running step, rejects pending calls with `disposed`, and frees the model. May be called repeatedly. */
  dispose(): Promise<void> {
    this.#disposing ??= (async () => {
      this.textWorkers.close();
      this.chatPrompts.close();
      this.#batcher.dispose();
      this.#caches.close();
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
    return yield* start(run, this.config, step, this.#caches.open);
  }

  #readOptions(options: SamplingOptions): Pick<Run, 'sampling' | 'cache'> {
    const sampling = readSampling(options, presetOf(this.config));
    if (this.#canvasModel.causal) checkCausal(options);
    return { sampling, cache: readCache(options, this.config.architecture) };
  }

  #checkUsable(): void {
    if (this.#disposing !== null) throw disposed();
  }
}

const disposed = () => new RND1Error('disposed', 'the model was disposed');

import type {
  ChatMessage,
  ChatOptions,
  FillOptions,
  GenerateOptions,
  InfillInput,
  InfillOptions,
  SamplingOptions,
  StopAtEos,
  Template,
  TokenFrame,
  TokenResult,
} from './api/types';
import { chatTemplateMissing } from './chat/base-models';
import type { ChatPrompts } from './chat/chat-prompts';
import type { TemplateMessage } from './chat/chat-template';
import { readMessages, readVariables } from './chat/messages';
import type { ModelConfig } from './checkpoint/config';
import type { TextWorkers } from './checkpoint/tokenizer/text-workers';
import type { Tokenizer } from './checkpoint/tokenizer/tokenizer';
import { checkInOrder } from './denoising/autoregression';
import type { Canvas, CanvasModel } from './denoising/canvas';
import { checkSeesSuffix, presetOf, type Run, readStop, textRun } from './denoising/run';
import type { Sampling } from './denoising/sampling-options';
import type { Opening } from './denoising/stream';
import {
  type AnswerCanvas,
  answerCanvas,
  fillCanvas,
  infillCanvas,
  type Prompt,
  type TextCanvas,
  type TextModel,
  type TextPlan,
} from './denoising/text-canvas';
import { familyTitle } from './families';
import { isCausal } from './families/traits';
import { attempt } from './support/attempt';
import { RND1Error } from './support/errors';
import { chatNames, fillNames, generateNames, infillNames } from './support/option-names';
import { optionsObject, stringOption, wordOption } from './support/validate';

/** The prompt template that RND1 was trained with. */
const rnd1Template = 'Question: {prompt}\nAnswer:';

/** The task template of a checkpoint, which contains `{prompt}`: its own, or RND1's. */
export const taskTemplateOf = ({ generation }: ModelConfig): string =>
  generation.taskTemplate ?? rnd1Template;

/** The parts of a model that calls with texts need. */
export interface TextCallsModel {
  readonly folder: string;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer | null;
  readonly textWorkers: TextWorkers;
  readonly chatPrompts: ChatPrompts;
  readonly canvasModel: CanvasModel;
  /** Validates the options of a run. */
  readOptions(options: SamplingOptions): Pick<Run, 'sampling' | 'cache'>;
  /** Throws `disposed` after `dispose`. */
  checkUsable(): void;
  run(run: Run): AsyncGenerator<TokenFrame, TokenResult, void>;
}

/** What a call writes into; the plan is made when the canvas is opened, since a template may have to be rendered. */
interface Preparation<T extends TextCanvas> {
  readonly plan: (signal: AbortSignal | undefined) => Promise<TextPlan<T>>;
  readonly stopAtEos: StopAtEos;
  /** Throws for canvases that the call does not allow. */
  readonly check?: (canvas: Canvas, sampling: Sampling) => void;
}

/** The options of the canvas, copied: they are read before the call returns. */
const endOf = ({ maxNewTokens, addEos, reserveEnd }: ChatOptions) => ({ maxNewTokens, addEos, reserveEnd });

/**
 * The calls of a model that take texts. Arguments are validated and copied at once; errors in them are thrown when the
 * canvas is opened.
 */
export class TextCalls {
  constructor(private readonly model: TextCallsModel) {}

  /** `generate` */
  answer(prompt: string, options: GenerateOptions | undefined): Opening<AnswerCanvas> {
    return this.#open(options, generateNames, (given: GenerateOptions, model) => {
      stringOption('prompt', prompt);
      const mode =
        given.mode === undefined ? null : wordOption('mode', given.mode, ['task', 'chat', 'completion']);
      const end = endOf(given);
      return {
        plan: async (signal) => answerCanvas(await this.#prompt(prompt, mode, signal), end, model),
        stopAtEos: this.#readStop(given),
      };
    });
  }

  /** `chat` */
  chat(messages: readonly ChatMessage[], options: ChatOptions | undefined): Opening<AnswerCanvas> {
    return this.#open(options, chatNames, (given: ChatOptions, model) => {
      const [end, said, variables] = [
        endOf(given),
        readMessages(messages),
        readVariables(given.templateVariables),
      ];
      return {
        plan: async (signal) => answerCanvas(await this.#conversation(said, variables, signal), end, model),
        stopAtEos: this.#readStop(given),
      };
    });
  }

  /** `infill` */
  infill(input: InfillInput, options: InfillOptions | undefined): Opening<TextCanvas> {
    return this.#open(options, infillNames, (_, model) => {
      this.#checkFills();
      const plan = infillCanvas(input, model);
      const { architecture } = this.model.config;
      return {
        plan: async () => plan,
        stopAtEos: false,
        check: (canvas, sampling) => checkSeesSuffix(canvas, sampling, architecture),
      };
    });
  }

  /** `fill` */
  fill(template: Template, options: FillOptions | undefined): Opening<TextCanvas> {
    return this.#open(options, fillNames, (given: FillOptions, model) => {
      this.#checkFills();
      const plan = fillCanvas(template, given, model);
      return { plan: async () => plan, stopAtEos: false };
    });
  }

  #open<O extends SamplingOptions, T extends TextCanvas>(
    options: O | undefined,
    names: Readonly<Record<keyof O, true>>,
    prepare: (options: O, model: TextModel) => Preparation<T>,
  ): Opening<T> {
    const { model } = this;
    const prepared = attempt(() => {
      const given = optionsObject<O>('options', options, names);
      return { ...prepare(given, this.#textModel()), ...model.readOptions(given) };
    });
    return async () => {
      const { plan, stopAtEos, check, sampling, cache } = prepared();
      model.checkUsable();
      const { texts, layOut } = await plan(sampling.signal);
      const text = layOut(await model.textWorkers.encode(texts, sampling.signal));
      const { canvas, banned } = text;
      if (model.canvasModel.causal) checkInOrder(canvas);
      check?.(canvas, sampling);
      const run = textRun(canvas, { banned, stopAtEos, sampling, cache }, model.canvasModel);
      return { text, frames: model.run(run), revised: sampling.editing !== null };
    };
  }

  #readStop({ stopAtEos }: Pick<GenerateOptions, 'stopAtEos'>): StopAtEos {
    return readStop(stopAtEos, presetOf(this.model.config).stopAtEos ?? true);
  }

  /** The form that a prompt gets; without text there is none. */
  async #prompt(
    prompt: string,
    mode: GenerateOptions['mode'] | null,
    signal: AbortSignal | undefined,
  ): Promise<Prompt> {
    if (prompt === '') return { text: '', trimmed: false };
    switch (mode ?? (await this.#defaultMode())) {
      case 'task':
        return {
          text: taskTemplateOf(this.model.config).replaceAll('{prompt}', () => prompt),
          trimmed: true,
        };
      case 'chat':
        return this.#conversation([{ role: 'user', content: prompt }], {}, signal);
      default:
        return { text: prompt, trimmed: false };
    }
  }

  async #defaultMode(): Promise<NonNullable<GenerateOptions['mode']>> {
    const { config, chatPrompts } = this.model;
    if (config.family === 'rnd1' || config.generation.taskTemplate !== undefined) return 'task';
    return (await chatPrompts.hasOwn()) ? 'chat' : 'completion';
  }

  async #conversation(
    messages: readonly TemplateMessage[],
    variables: Readonly<Record<string, unknown>>,
    signal: AbortSignal | undefined,
  ): Promise<Prompt> {
    const { chatPrompts, folder } = this.model;
    if ((await chatPrompts.kind(signal)) === 'task') throw chatTemplateMissing(folder);
    return { text: await chatPrompts.render(messages, variables, signal), trimmed: false };
  }

  #textModel(): TextModel {
    const { tokenizer, canvasModel, folder } = this.model;
    if (tokenizer !== null) return { ...canvasModel, tokenizer };
    throw new RND1Error(
      'tokenizer_missing',
      `${folder} has no tokenizer.json: text methods need one, denoiseTokens and generateTokens do not`,
    );
  }

  /** Throws if text after a hole would be ignored. */
  #checkFills(): void {
    const { config, folder } = this.model;
    if (!isCausal(config.architecture)) return;
    throw new RND1Error(
      'unsupported_model',
      `${folder}: ${familyTitle(config.family)} writes from left to right: it generates, but cannot fill in text`,
    );
  }
}

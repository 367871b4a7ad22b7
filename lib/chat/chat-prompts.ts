import { lossText } from '../checkpoint/tokenizer/text-workers';
import { RND1Error, type RND1ErrorCode } from '../support/errors';
import { unlessAborted } from '../support/unless-aborted';
import { Lane, type LossReason, ThreadFailed, ThreadLost } from '../worker/lane';
import { threadFile } from '../worker/thread-file';
import {
  type ChatTemplate,
  hasOwnTemplate,
  readChatTemplate,
  type TemplateKind,
  type TemplateMessage,
  type TemplatePlace,
} from './chat-template';
import { ChatTemplateError, type RefusedArgument } from './chat-template-error';

/** Seconds for reading and parsing a template. */
const startLimit = 10;
const heapMegabytes = 512;

/** Options of `ChatPrompts`. */
export interface ChatPromptsOptions extends TemplatePlace {
  /** Time limit in seconds for rendering one conversation. */
  readonly limit: number;
  /** Called when the thread was lost. */
  readonly onLost?: (reason: LossReason) => void;
  /** Rejects all calls after `close`. */
  readonly closed: () => Error;
}

type Arguments = readonly [readonly TemplateMessage[], Readonly<Record<string, unknown>>];

/**
 * Turns messages into prompts by a chat template, in a worker thread that starts on first use: a checkpoint's template
 * may take any amount of time and memory. Where the thread's file is missing, as in a bundle, templates are rendered on
 * the calling thread, with a warning.
 */
export class ChatPrompts {
  readonly #options: ChatPromptsOptions;
  readonly #lane: Lane<TemplateKind, Arguments, string> | null;
  #kind: Promise<TemplateKind> | null = null;
  #here: Promise<ChatTemplate> | null = null;
  #hasOwn: Promise<boolean> | null = null;

  constructor(options: ChatPromptsOptions) {
    this.#options = options;
    const { folder, choice, familyTemplate, taskTemplate, limit, onLost } = options;
    const file = threadFile('chat/template-thread');
    const data: TemplatePlace = { folder, choice, familyTemplate, taskTemplate };
    this.#lane = file === null ? null : new Lane({ file, data, startLimit, limit, heapMegabytes, onLost });
  }

  /** Requests whose messages wait to be rendered. */
  get pending(): number {
    return this.#lane?.pending ?? 0;
  }

  /**
   * The kind of the template; it is read first.
   *
   * @throws as `readChatTemplate`; the signal's reason when it aborts
   */
  async kind(signal?: AbortSignal): Promise<TemplateKind> {
    signal?.throwIfAborted();
    this.#kind ??= this.#readKind().catch((error: unknown) => {
      this.#kind = null;
      throw error;
    });
    return unlessAborted(this.#kind, signal);
  }

  /** Starts the thread. Throws as `kind`, and `unsupported_model` if the thread's file is missing. */
  async start(): Promise<TemplateKind> {
    if (this.#lane !== null) return this.kind();
    throw new RND1Error(
      'unsupported_model',
      `${missingFile}: install rnd1 beside the bundle, or keep it external`,
    );
  }

  /** Whether the checkpoint has a chat template of its own; reads it at most once, and starts no thread. */
  hasOwn(): Promise<boolean> {
    this.#hasOwn ??= hasOwnTemplate(this.#options.folder);
    return this.#hasOwn;
  }

  /**
   * Renders a conversation that the model is to go on with.
   *
   * @throws ChatTemplateError for messages that the template refuses, and beyond the limits of time and memory;
   *   TypeError if the last message must be the user's and is not; the signal's reason when it aborts
   */
  async render(
    messages: readonly TemplateMessage[],
    variables: Readonly<Record<string, unknown>> = {},
    signal?: AbortSignal,
  ): Promise<string> {
    if (this.#lane === null) return (await this.#onThisThread()).render(messages, variables);
    return this.#lane.ask([messages, variables], signal).catch((error: unknown) => this.#fail(error, false));
  }

  /** Ends the thread. Pending and later calls reject. */
  close(): void {
    this.#lane?.close(this.#options.closed());
  }

  async #readKind(): Promise<TemplateKind> {
    if (this.#lane === null) return (await this.#onThisThread()).kind;
    return this.#lane.start().catch((error: unknown) => this.#fail(error, true));
  }

  #onThisThread(): Promise<ChatTemplate> {
    if (this.#here === null) {
      process.emitWarning(`${missingFile}: chat templates are rendered on the calling thread`, {
        code: 'RND1_NO_THREADS',
      });
      this.#here = readChatTemplate(this.#options);
    }
    return this.#here;
  }

  #fail(error: unknown, reading: boolean): never {
    if (error instanceof ThreadFailed) throw rebuilt(error);
    if (!(error instanceof ThreadLost)) throw error;
    const { folder, limit } = this.#options;
    const told = lossText(error.reason, error.starting ? startLimit : limit, heapMegabytes);
    if (!reading) throw new ChatTemplateError(`the chat template ${told}`, 'messages', { cause: error });
    const message = `${folder}: reading its chat template ${told}`;
    throw new RND1Error('invalid_checkpoint', message, { cause: error });
  }
}

const missingFile =
  'the file that rnd1 renders chat templates with in a worker thread is neither beside this code nor in an installed rnd1 of the same version';

/** Recreates an error of the worker thread in this thread. */
function rebuilt(error: ThreadFailed): Error {
  const { name, message, code, param } = error.told;
  const options = { cause: error };
  if (code === 'chat_template_failed')
    return new ChatTemplateError(message, param as RefusedArgument, options);
  if (name === 'RND1Error') return new RND1Error(code as RND1ErrorCode, message, options);
  if (name === 'TypeError') return new TypeError(message, options);
  return new ChatTemplateError(`the chat template refuses the messages: ${message}`, 'messages', options);
}

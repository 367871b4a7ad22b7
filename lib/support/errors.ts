import { types } from 'node:util';
import { printableMessage } from './printable';

/** Why an operation failed. Wrong arguments are `TypeError`s and `RangeError`s instead. */
export type RND1ErrorCode =
  | 'invalid_checkpoint'
  | 'unsupported_model'
  | 'tokenizer_missing'
  | 'not_finite'
  | 'out_of_memory'
  | 'cuda_unavailable'
  | 'cuda_error'
  | 'disposed'
  | 'addon_not_found'
  | 'io'
  /** Tokenizing a text exceeded its limit of time (see `LoadOptions.promptTimeout`) or memory. */
  | 'prompt_too_expensive'
  /** The chat template refuses the messages, or takes too long. */
  | 'chat_template_failed'
  /** Neither the checkpoint nor its family has a chat template: it is a base model. */
  | 'chat_template_missing'
  /** A data set, a task file or results of an evaluation are not as they must be. */
  | 'invalid_data'
  | HubErrorCode;

/** Why a checkpoint could not be fetched from the hub. */
export type HubErrorCode =
  /** The hub requires a token, or the given token has no access to the model. */
  | 'access_denied'
  /** No such model, revision or file on the hub or, to remove it, in the cache; no such optional package. */
  | 'not_found'
  /** The hub is needed, but HF_HUB_OFFLINE or `offline` forbids access. */
  | 'offline'
  /** The hub cannot be reached, fails, or sends something other than it announced. */
  | 'network';

/** Codes that the addon reports. */
type NativeCode = Exclude<
  RND1ErrorCode,
  HubErrorCode | 'prompt_too_expensive' | 'chat_template_failed' | 'chat_template_missing' | 'invalid_data'
>;

const codes: ReadonlySet<string> = new Set<NativeCode>([
  'invalid_checkpoint',
  'unsupported_model',
  'tokenizer_missing',
  'not_finite',
  'out_of_memory',
  'cuda_unavailable',
  'cuda_error',
  'disposed',
  'addon_not_found',
  'io',
]);

/** The only error class of this package. `code` is the kind of failure, `cause` the underlying error. */
export class RND1Error extends Error {
  /** Always `'RND1Error'`. */
  override readonly name = 'RND1Error';
  /** The kind of failure. */
  readonly code: RND1ErrorCode;

  constructor(code: RND1ErrorCode, message: string, options?: { cause?: unknown }) {
    // The message may quote a file or the hub, and be shown in a terminal.
    super(printableMessage(message), options);
    this.code = code;
  }
}

/** Converts an error of the addon to an `RND1Error`; returns anything else unchanged. */
export function fromNative(error: unknown): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  // Not `instanceof Error`: the addon's errors come from the realm that loaded it first, which need not be this one.
  if (types.isNativeError(error) && !(error instanceof RND1Error) && typeof code === 'string') {
    // A call aborted by a signal has rejected with its reason already; otherwise only `dispose` aborts.
    if (code === 'aborted') return new RND1Error('disposed', 'the model was disposed', { cause: error });
    if (codes.has(code)) return new RND1Error(code as RND1ErrorCode, error.message, { cause: error });
  }
  return error;
}

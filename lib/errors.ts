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
  /** Making tokens of a text took more time (see `LoadOptions.promptTimeout`) or memory than there is for it. */
  | 'prompt_too_expensive'
  | HubErrorCode;

/** Why a checkpoint could not be had from the hub. */
export type HubErrorCode =
  /** It asks for a token, or the one given may not see the model. */
  | 'access_denied'
  /** No such model, revision or file. */
  | 'not_found'
  /** It would be needed, but HF_HUB_OFFLINE or `offline` forbids it. */
  | 'offline'
  /** It cannot be reached, fails, or sends something else than it announced. */
  | 'network';

/** Those that the addon knows. */
const codes: ReadonlySet<string> = new Set<Exclude<RND1ErrorCode, HubErrorCode | 'prompt_too_expensive'>>([
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

/** The one error class of this package. `code` says what kind of failure it is, `cause` what was behind it. */
export class RND1Error extends Error {
  /** Always `'RND1Error'`. */
  override readonly name = 'RND1Error';
  /** The kind of failure. */
  readonly code: RND1ErrorCode;

  constructor(code: RND1ErrorCode, message: string, options?: { cause?: unknown }) {
    // It may quote what a file or the hub says, and be shown in a terminal.
    super(printableMessage(message), options);
    this.code = code;
  }
}

/** An error of the addon as an `RND1Error`; anything else as it is. */
export function fromNative(error: unknown): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  // Not `instanceof Error`: the addon's errors come from the realm that loaded it first, which need not be this one.
  if (types.isNativeError(error) && !(error instanceof RND1Error) && typeof code === 'string') {
    // Who aborts by a signal gets its reason before this comes; what else ends a call early is its model's end.
    if (code === 'aborted') return new RND1Error('disposed', 'the model was disposed', { cause: error });
    if (codes.has(code)) return new RND1Error(code as RND1ErrorCode, error.message, { cause: error });
  }
  return error;
}

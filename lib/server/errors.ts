import { RND1Error } from '../support/errors';
import { printableMessage } from '../support/printable';

/** The `error` object of a response, in OpenAI's format. */
export interface ErrorBody {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

/** Limits, in UTF-16 units, of a message and of a field's name: both may quote what the client sent. */
const messageLimit = 2000;
const paramLimit = 200;

const cut = (text: string, limit: number) => (text.length > limit ? `${text.slice(0, limit - 1)}…` : text);

/** An error that is reported to the client. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    {
      param = null,
      headers = {},
      cause,
    }: { param?: string | null; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(cut(printableMessage(message), messageLimit), { cause });
    this.param = param === null ? null : cut(param, paramLimit);
    this.headers = headers;
  }

  get body(): ErrorBody {
    return { message: this.message, type: typeOf(this.status), param: this.param, code: this.code };
  }
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 404) return 'not_found_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

/** Statuses by the library's error code; 500 for all others. */
const statusOf: Partial<Record<RND1Error['code'], number>> = {
  disposed: 503,
  out_of_memory: 503,
  tokenizer_missing: 400,
  // What is asked for is not what this model does.
  unsupported_model: 400,
  prompt_too_expensive: 400,
  chat_template_failed: 400,
  chat_template_missing: 400,
};

/** Turns any error into one for the client. Details of unexpected errors appear only in the log. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof RND1Error) {
    return new ApiError(statusOf[error.code] ?? 500, error.code, error.message, { cause: error });
  }
  return new ApiError(500, 'internal_error', 'the server failed; its log says why', { cause: error });
}

/** Fields of requests by the library's option names. */
const fieldNames: Readonly<Record<string, string>> = {
  maxNewTokens: 'max_tokens',
  topK: 'top_k',
  topP: 'top_p',
  algTemp: 'alg_temp',
  cfgScale: 'cfg_scale',
  suppressEos: 'suppress_eos',
  zeroEosConfidence: 'zero_eos_confidence',
  maxPostSteps: 'max_post_steps',
  atLeast: 'at_least',
  tokensPerHole: 'tokens_per_hole',
  templateVariables: 'chat_template_kwargs',
};

/** A message of the library with the names of fields for those of options. */
export function withFieldNames(message: string): string {
  const names = new RegExp(`\\b(${Object.keys(fieldNames).join('|')})\\b`, 'g');
  return message.replace(names, (name) => fieldNames[name] as string);
}

/** Turns the library's argument errors into 400 responses. */
export function asFieldError(error: unknown): unknown {
  if (!(error instanceof TypeError || error instanceof RangeError)) return error;
  // The library's limit counts a slot that the field does not.
  const message = withFieldNames(error.message.replace(/: maxNewTokens may be \d+ at most here$/, ''));
  const tooLong = message.includes('the model attends to');
  const param = /^([a-z_]+)(?:\[\d+\]|\.\w+)* (?:must|is|has|holds|needs|cannot) /.exec(message)?.[1] ?? null;
  return new ApiError(400, tooLong ? 'context_length_exceeded' : 'invalid_value', message, {
    param: tooLong ? null : param,
    cause: error,
  });
}

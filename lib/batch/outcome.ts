import type { BatchRequest } from './request';

/** What became of a line: the endpoint's response, or why there is none. */
export type Outcome =
  | {
      readonly response: { readonly status: number; readonly requestId: string; readonly body: object };
    }
  | { readonly error: { readonly code: string; readonly message: string } };

/** Answers a line. Rejects only if the whole batch must stop. */
export type Answer = (request: BatchRequest, signal: AbortSignal) => Promise<Outcome>;

/** The start of every line's `id`. */
const idPrefix = 'batch_req_';

/** The line of the output, in OpenAI's format. */
export function outcomeLine({ id, customId }: BatchRequest, outcome: Outcome): string {
  const response =
    'response' in outcome
      ? {
          status_code: outcome.response.status,
          request_id: outcome.response.requestId,
          body: outcome.response.body,
        }
      : null;
  const error = 'error' in outcome ? outcome.error : null;
  return `${JSON.stringify({ id: idPrefix + id, custom_id: customId, response, error })}\n`;
}

/** Whether a line was answered without an error. */
export const succeeded = (outcome: Outcome): boolean =>
  'response' in outcome && outcome.response.status === 200;

/** Tokens that the model wrote for a line. */
export function tokensOf(outcome: Outcome): number {
  if (!('response' in outcome)) return 0;
  const { usage } = outcome.response.body as { usage?: { completion_tokens?: number } };
  return usage?.completion_tokens ?? 0;
}

/** A line of an output that an earlier run wrote. */
export interface WrittenLine {
  /** As in `BatchRequest`. */
  readonly id: string;
  readonly customId: string;
  readonly succeeded: boolean;
}

/** Reads a line of an output; null for anything else. */
export function readWritten(value: unknown): WrittenLine | null {
  if (typeof value !== 'object' || value === null) return null;
  const { id, custom_id, response } = value as Readonly<Record<string, unknown>>;
  if (typeof id !== 'string' || typeof custom_id !== 'string' || !id.startsWith(idPrefix)) return null;
  const status = (response as { status_code?: unknown } | null | undefined)?.status_code;
  return { id: id.slice(idPrefix.length), customId: custom_id, succeeded: status === 200 };
}

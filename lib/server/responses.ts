import { type TSchema, Type } from '@sinclair/typebox';
import type { ServerSettings } from './options';
import { errorAnswer } from './schemas';

/** Descriptions of error responses by status; every route lists its own. */
const failures = {
  400: 'A field is wrong, or the body is not JSON: `param` names the field.',
  401: 'The API key is missing or wrong.',
  403: 'The client has no room for more files.',
  404: 'There is no such model, file or batch.',
  409: 'The file is in use, or the batch has ended.',
  413: 'The body is larger than the server takes.',
  415: 'The body is not declared as JSON in UTF-8.',
  429: 'Too many requests: try again after `Retry-After` seconds.',
  500: 'The server failed.',
  503: 'The server is shutting down, or out of memory.',
  504: 'The answer took longer than the server allows.',
  '4xx': 'The request is refused.',
} as const;

type Failure = keyof typeof failures;
/** Response schemas of a route by media type. */
type Content = Readonly<Record<string, TSchema>>;

/** Failures of every route that computes something, before its stream begins. */
export const streaming: readonly Failure[] = [400, 404, 413, 415, 429, 500, 503];
export const computing: readonly Failure[] = [...streaming, 504];

/** Documents the responses of a route; 401 is added if the server requires keys and the route is not open. */
export function responses(
  { apiKeys }: Pick<ServerSettings, 'apiKeys'>,
  content: Content,
  statuses: readonly Failure[],
  { open = false } = {},
): { readonly response: Readonly<Record<string, unknown>> } {
  const all = open || apiKeys.length === 0 ? statuses : [401 as const, ...statuses];
  const failing = all.map((status) => [
    status,
    answerOf(failures[status], { 'application/json': errorAnswer }),
  ]);
  return { response: { 200: answerOf('The answer.', content), ...Object.fromEntries(failing) } };
}

function answerOf(description: string, content: Content) {
  const types = Object.entries(content).map(([type, schema]) => [type, { schema }]);
  return { description, content: Object.fromEntries(types) };
}

const usage = Type.Object({
  prompt_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
  total_tokens: Type.Integer(),
  steps: Type.Integer({ description: 'Forward passes.' }),
});
const head = {
  id: Type.String(),
  object: Type.String(),
  created: Type.Integer(),
  model: Type.String(),
  system_fingerprint: Type.String(),
  seed: Type.Union([Type.Integer(), Type.String()]),
};
const choice = {
  index: Type.Integer(),
  finish_reason: Type.Union([Type.Literal('stop'), Type.Literal('length')]),
};
const logprobs = Type.Union([Type.Object({}), Type.Null()]);
const events = (description: string) => ({ 'text/event-stream': Type.String({ description }) });
const json = (schema: TSchema): Content => ({ 'application/json': schema });

export const chatAnswer: Content = {
  ...json(
    Type.Object({
      ...head,
      choices: Type.Array(
        Type.Object({
          ...choice,
          message: Type.Object({
            role: Type.Literal('assistant'),
            content: Type.String(),
            refusal: Type.Null(),
          }),
          logprobs,
        }),
      ),
      usage,
    }),
  ),
  ...events('With `stream`: chunks of the answer, then `[DONE]`.'),
};

export const completionAnswer: Content = {
  ...json(
    Type.Object({
      ...head,
      choices: Type.Array(Type.Object({ ...choice, text: Type.String(), logprobs })),
      usage,
    }),
  ),
  ...events('With `stream`: chunks of the text, then `[DONE]`.'),
};

export const frames: Content = events('Events: `start`, `frame` for every step, `end` or `error`.');

export const textAnswer: Content = {
  ...json(
    Type.Object({
      id: Type.String(),
      model: Type.String(),
      seed: head.seed,
      text: Type.String(),
      written: Type.Array(Type.String(), { description: 'Text written into each hole.' }),
      usage,
    }),
  ),
  ...events('With `stream`: the events of `/v1/denoise`.'),
};

const model = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer(),
  owned_by: Type.String(),
});
export const modelAnswer = json(model);
export const modelsAnswer = json(Type.Object({ object: Type.Literal('list'), data: Type.Array(model) }));
const time = Type.Union([Type.Integer({ description: 'Seconds since 1970.' }), Type.Null()]);
const file = Type.Object({
  id: Type.String(),
  object: Type.Literal('file'),
  bytes: Type.Integer(),
  created_at: time,
  expires_at: time,
  filename: Type.String(),
  purpose: Type.String(),
  status: Type.Literal('processed'),
});
const listOf = (schema: TSchema) =>
  json(
    Type.Object({
      object: Type.Literal('list'),
      data: Type.Array(schema),
      first_id: Type.Union([Type.String(), Type.Null()]),
      last_id: Type.Union([Type.String(), Type.Null()]),
      has_more: Type.Boolean(),
    }),
  );
export const fileAnswer = json(file);
export const filesAnswer = listOf(file);
export const deletedAnswer = json(
  Type.Object({ id: Type.String(), object: Type.Literal('file'), deleted: Type.Literal(true) }),
);
export const contentAnswer: Content = { 'application/jsonl': Type.String() };

const maybeId = Type.Union([Type.String(), Type.Null()]);
const batch = Type.Object({
  id: Type.String(),
  object: Type.Literal('batch'),
  endpoint: Type.String(),
  errors: Type.Union([Type.Object({}), Type.Null()]),
  input_file_id: Type.String(),
  completion_window: Type.String(),
  status: Type.String(),
  output_file_id: maybeId,
  error_file_id: maybeId,
  created_at: time,
  expires_at: time,
  request_counts: Type.Object({
    total: Type.Integer(),
    completed: Type.Integer(),
    failed: Type.Integer(),
  }),
  metadata: Type.Union([Type.Object({}), Type.Null()]),
});
export const batchAnswer = json(batch);
export const batchesAnswer = listOf(batch);

export const statusAnswer = json(Type.Object({ status: Type.String() }));
export const metricsAnswer: Content = { 'text/plain': Type.String() };

import { type Static, type TObject, type TProperties, type TSchema, Type } from '@sinclair/typebox';
import type { Schedule } from '../api/types';
import { batchUrls } from '../batch/request';
import { plainTypes, type ScheduleParameter, scheduleTable } from '../denoising/schedule-table';

/** A field that may be missing or null: OpenAI's clients send null for what is not set. */
const maybe = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
/** An OpenAI field that must be null or missing. */
const absent = (description: string) => Type.Optional(Type.Null({ description }));
const oneOf = (values: readonly string[]) => Type.Union(values.map((value) => Type.Literal(value)));
const strict = <T extends TProperties>(properties: T, $id: string): TObject<T> =>
  Type.Object(properties, { additionalProperties: false, title: $id });

/** More steps than a canvas needs: bounds the passes that a request can ask for. */
const mostSteps = 65_536;

const name = Type.String({ minLength: 1 });
const parameterSchema = ({ whole, lenient, min, minExcluded, max }: ScheduleParameter) =>
  (whole ? Type.Integer : Type.Number)({
    ...(lenient ? {} : { [minExcluded ? 'exclusiveMinimum' : 'minimum']: min }),
    ...(max === null ? {} : { maximum: max }),
  });
const plain = Type.Union(plainTypes.map((type) => Type.Literal(type)));
const [simpleSchedule, blocks] = scheduleSchemas();
const schedule = Type.Unsafe<Schedule>(
  Type.Union([simpleSchedule, blocks], {
    description: 'Which positions a step unmasks; the default is entropy.',
  }),
);

/** Schemas of the schedules that blocks may contain, and of blocks. */
function scheduleSchemas(): [TSchema, TSchema] {
  const count = Type.Integer({ minimum: 1, maximum: mostSteps });
  const threshold = {
    strict: maybe(Type.Boolean({ description: 'The probability must be above tau.' })),
    at_least: maybe(Type.Union([count, Type.Literal('counts')])),
  };
  const withParameter = (inner: boolean, more: TProperties = {}) =>
    scheduleTable.flatMap(({ type, plan, parameter }) =>
      parameter === null || (plan !== null) !== inner
        ? []
        : Type.Object({
            type: Type.Literal(type),
            [parameter.name]: parameterSchema(parameter),
            ...(type === 'threshold' && threshold),
            ...more,
          }),
    );
  const simple = Type.Union([plain, Type.Object({ type: plain }), ...withParameter(true)]);
  const blocks = {
    schedule: maybe(simple),
    steps: maybe(count),
    from: maybe(oneOf(['masked', 'canvas'])),
    window: maybe(oneOf(['canvas', 'block'])),
  };
  return [simple, Type.Union(withParameter(false, blocks))];
}

const safe = Number.MAX_SAFE_INTEGER;
const seed = Type.Union(
  [Type.Integer({ minimum: -safe, maximum: safe }), Type.String({ pattern: '^-?[0-9]{1,20}$' })],
  {
    description: 'The same seed gives the same text. A decimal string if it is beyond 2^53.',
  },
);
const tokenIds = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 });

/** Fields of every request that denoises. */
const sampling = {
  steps: maybe(Type.Integer({ minimum: 1, maximum: mostSteps, description: 'Total number of steps.' })),
  schedule: maybe(schedule),
  temperature: maybe(Type.Number({ minimum: 0, description: '0, the default, is greedy.' })),
  top_p: maybe(Type.Number({ minimum: 0, maximum: 1 })),
  top_k: maybe(Type.Integer({ minimum: 0 })),
  seed: maybe(seed),
  counts: maybe(
    Type.Union([
      oneOf(['proportional', 'even', 'rounded', 'linear']),
      Type.Object({
        type: Type.Literal('linear'),
        eps: maybe(Type.Number({ minimum: 0, maximum: 1 })),
        independent: maybe(Type.Boolean()),
      }),
    ]),
  ),
  alg_temp: maybe(Type.Number({ minimum: 0, description: 'Temperature of the order of positions.' })),
  cfg_scale: maybe(Type.Number({ minimum: 0, description: 'Classifier-free guidance; doubles the work.' })),
  suppress_eos: maybe(Type.Boolean()),
  zero_eos_confidence: maybe(Type.Boolean()),
  editing: maybe(
    Type.Object({
      threshold: Type.Number({ minimum: 0, maximum: 1 }),
      max_post_steps: maybe(Type.Integer({ minimum: 0, maximum: mostSteps })),
    }),
  ),
  cache: maybe(Type.Union([oneOf(['prefix', 'dual']), Type.Literal(false)])),
  refresh: maybe(Type.Integer({ minimum: 1, maximum: mostSteps })),
};
const length = Type.Integer({ minimum: 1, description: 'Tokens to write between prefix and suffix.' });
const maxTokens = Type.Integer({ minimum: 1, description: 'Number of positions to fill.' });
const model = maybe(name);
const stream = maybe(Type.Boolean());
const mode = maybe(Type.Union([Type.Literal('task'), Type.Literal('completion'), Type.Literal('chat')]));
const template = Type.Union([
  Type.String(),
  Type.Array(Type.Union([Type.String(), strict({ length: Type.Integer({ minimum: 1 }) }, 'Hole')])),
]);
const holes = {
  hole: maybe(Type.String({ minLength: 1, description: "Text that marks a hole; the default is '___'." })),
  tokens_per_hole: maybe(Type.Integer({ minimum: 1, description: 'The default is 4.' })),
};

/** OpenAI fields that are accepted and have no effect. */
const ignored = {
  user: maybe(Type.String()),
  metadata: maybe(Type.Record(Type.String(), Type.String())),
  store: maybe(Type.Boolean()),
  service_tier: maybe(Type.String()),
  safety_identifier: maybe(Type.String()),
  prompt_cache_key: maybe(Type.String()),
  prompt_cache_retention: maybe(Type.String()),
  prompt_cache_options: maybe(Type.Object({})),
};

/** OpenAI fields that do not apply to diffusion models: only values that mean "off" are accepted. */
const off = {
  presence_penalty: maybe(Type.Literal(0)),
  frequency_penalty: maybe(Type.Literal(0)),
  logit_bias: maybe(Type.Record(Type.String(), Type.Literal(0))),
};

/** The same for chat: hints have no effect; tools, audio and search must be off. */
const chatOnly = {
  reasoning_effort: maybe(oneOf(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'])),
  verbosity: maybe(oneOf(['low', 'medium', 'high'])),
  prediction: maybe(Type.Object({ type: Type.Literal('content') })),
  parallel_tool_calls: maybe(Type.Boolean()),
  response_format: maybe(Type.Object({ type: Type.Literal('text') })),
  modalities: maybe(Type.Array(Type.Literal('text'))),
  tools: maybe(Type.Array(Type.Unknown(), { maxItems: 0 })),
  tool_choice: maybe(oneOf(['none', 'auto'])),
  functions: maybe(Type.Array(Type.Unknown(), { maxItems: 0 })),
  function_call: maybe(oneOf(['none', 'auto'])),
  audio: absent('Answers are text.'),
  web_search_options: absent('There is no web search.'),
  moderation: absent('There is no moderation.'),
};

const openai = {
  ...sampling,
  ...ignored,
  ...off,
  max_tokens: maybe(maxTokens),
  n: maybe(Type.Integer({ minimum: 1, maximum: 128 })),
  stop: maybe(Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: 4 })])),
  stream,
  stream_options: maybe(
    Type.Object({
      include_usage: maybe(Type.Boolean()),
      include_obfuscation: maybe(Type.Boolean()),
    }),
  ),
  model,
};

export const completionBody = strict(
  {
    ...openai,
    prompt: Type.Union([
      Type.String(),
      Type.Array(Type.String(), { minItems: 1 }),
      tokenIds,
      Type.Array(tokenIds, { minItems: 1 }),
      Type.Null({ description: 'The empty text.' }),
    ]),
    suffix: maybe(
      Type.String({ description: 'Text after the completion: max_tokens tokens are written in between.' }),
    ),
    echo: maybe(Type.Boolean()),
    best_of: maybe(Type.Integer({ minimum: 1 })),
    logprobs: maybe(
      Type.Integer({ minimum: 0, maximum: 1, description: 'Only the committed token is returned.' }),
    ),
  },
  'CompletionRequest',
);

const part = Type.Object(
  {
    type: oneOf(['text', 'refusal']),
    text: maybe(Type.String()),
    refusal: maybe(Type.String()),
  },
  { description: 'Parts are joined by line breaks.' },
);
const message = Type.Object(
  {
    role: oneOf(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
    content: Type.Optional(
      Type.Union([Type.String(), Type.Array(part), Type.Null()], {
        description: 'May be missing only for assistant and function.',
      }),
    ),
    audio: absent('Messages are text.'),
  },
  { description: 'Other fields are passed to the chat template unchanged.' },
);

export const chatBody = strict(
  {
    ...openai,
    messages: Type.Array(message, { minItems: 1 }),
    max_completion_tokens: maybe(maxTokens),
    logprobs: maybe(Type.Boolean()),
    top_logprobs: maybe(
      Type.Integer({ minimum: 0, maximum: 1, description: 'Only the committed token is returned.' }),
    ),
    ...chatOnly,
    chat_template_kwargs: maybe(
      Type.Record(Type.String(), Type.Unknown(), { description: 'Variables of the chat template.' }),
    ),
  },
  'ChatCompletionRequest',
);

export const infillBody = strict(
  { ...sampling, model, stream, prefix: maybe(Type.String()), suffix: maybe(Type.String()), length },
  'InfillRequest',
);

export const fillBody = strict({ ...sampling, ...holes, model, stream, text: template }, 'FillRequest');

export const denoiseBody = strict(
  {
    ...sampling,
    ...holes,
    model,
    prompt: maybe(Type.String({ description: 'Answered or continued, depending on mode.' })),
    mode,
    max_tokens: maybe(maxTokens),
    text: maybe(template),
    prefix: maybe(Type.String()),
    suffix: maybe(Type.String()),
    length: maybe(length),
    tokens: maybe(tokenIds),
    masked: maybe(Type.Array(Type.Integer({ minimum: 0 }))),
  },
  'DenoiseRequest',
);

const anchored = (description: string) =>
  maybe(
    Type.Object(
      { anchor: Type.Literal('created_at'), seconds: Type.Integer({ minimum: 3600, maximum: 2592000 }) },
      { additionalProperties: false, description },
    ),
  );
const digits = Type.String({ pattern: '^[0-9]{1,5}$' });
const page = { after: Type.Optional(Type.String()), limit: Type.Optional(digits) };

export const batchBody = strict(
  {
    input_file_id: name,
    endpoint: Type.Union(batchUrls.map((url) => Type.Literal(url))),
    completion_window: Type.Literal('24h'),
    metadata: ignored.metadata,
    output_expires_after: anchored('When the files that the batch writes are deleted.'),
  },
  'BatchRequest',
);
export const batchQuery = Type.Object(page);
export const fileQuery = Type.Object({
  ...page,
  purpose: Type.Optional(Type.String()),
  order: Type.Optional(oneOf(['asc', 'desc'])),
});
/** The form of an upload, for the documentation. */
export const fileForm = strict(
  {
    file: Type.String({ format: 'binary', description: 'One JSON object per line.' }),
    purpose: Type.Literal('batch'),
    'expires_after[anchor]': Type.Optional(Type.Literal('created_at')),
    'expires_after[seconds]': Type.Optional(Type.Integer({ minimum: 3600, maximum: 2592000 })),
  },
  'FileUpload',
);

export type BatchBody = Static<typeof batchBody>;
export type BatchQuery = Static<typeof batchQuery>;
export type FileQuery = Static<typeof fileQuery>;
export type CompletionBody = Static<typeof completionBody>;
export type ChatBody = Static<typeof chatBody>;
export type InfillBody = Static<typeof infillBody>;
export type FillBody = Static<typeof fillBody>;
export type DenoiseBody = Static<typeof denoiseBody>;
/** Fields shared by all requests that denoise. */
export type SamplingBody = Pick<DenoiseBody, keyof typeof sampling>;

export const errorAnswer = Type.Object(
  {
    error: Type.Object({
      message: Type.String(),
      type: Type.String(),
      param: Type.Union([Type.String(), Type.Null()]),
      code: Type.Union([Type.String(), Type.Null()]),
    }),
  },
  { title: 'Error' },
);

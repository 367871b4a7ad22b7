import type { SamplingOptions } from './sampling-types';

export type { ChatMessage, ChatOptions } from './chat-types';
export type {
  Device,
  DownloadOptions,
  DownloadProgress,
  DType,
  HubOptions,
  LoadOptions,
  LoadProgress,
  LoadRequest,
  QuantizeOptions,
  SpecialTokenIds,
} from './load-types';
export type { StepReport, TextFrame, TextResult, TokenFrame, TokenResult } from './result-types';
export type {
  Counts,
  Editing,
  SamplingOptions,
  Schedule,
  SimpleSchedule,
} from './sampling-types';

/** Token ids that replace those of the checkpoint. */
export interface SpecialTokenOptions {
  /** @default the model's, in `config.tokens` */
  readonly maskTokenId?: number;
  /** null = none. @default the model's, in `config.tokens` */
  readonly eosTokenId?: number | readonly number[] | null;
  /** null = none. @default the model's, in `config.tokens` */
  readonly padTokenId?: number | null;
  /** null = none. @default the model's, in `config.tokens` */
  readonly bosTokenId?: number | null;
}

/** Token ids or positions. */
export type TokenIds = Int32Array | readonly number[];

/** Options of `denoiseTokens` and `generateTokens`: nothing is banned or trimmed, as in the reference. */
export interface TokenOptions extends SamplingOptions, SpecialTokenOptions {
  /** Fixed tokens before the masked positions. */
  readonly prefix?: TokenIds;
  /** Fixed tokens after the masked positions. */
  readonly suffix?: TokenIds;
  /** Positions after the prefix, including suffix and reserved slot. @default generation_config.json's, else 256 */
  readonly maxNewTokens?: number;
  /** The exact number of masked positions; excludes `maxNewTokens`. */
  readonly length?: number;
  /**
   * The complete canvas; requires `masked`, and excludes `prefix`, `suffix`, `maxNewTokens`, `length`, `addEos` and
   * `reserveEnd`.
   */
  readonly canvas?: TokenIds;
  /** The positions of `canvas` to fill. */
  readonly masked?: TokenIds;
  /** The reserved slot holds EOS instead of pad. Not for causal models. @default false */
  readonly addEos?: boolean;
  /**
   * Reserve the last slot when there is an EOS id and a prefix or suffix; not for causal models.
   * @default true for RND1, and with `addEos`
   */
  readonly reserveEnd?: boolean;
  /** When the text has ended; see `StopAtEos`. @default false; true for causal models */
  readonly stopAtEos?: StopAtEos;
  /** The result's `tokens` end with the first EOS that was written. @default false */
  readonly cutAtEos?: boolean;
  /** Token ids that are never predicted. @default none */
  readonly banned?: TokenIds;
  /**
   * Token ids whose probability counts as 0 in confidence, entropy and margin, though they may be predicted: positions
   * that predict one are unmasked last. Not for causal models. @default none
   */
  readonly zeroConfidence?: TokenIds;
  /** Positions of `prefix` that hold the mask token are filled, too. Not for causal models. @default false */
  readonly fillPrefix?: boolean;
  /**
   * Which row of the logits predicts position i: row i − `predictionShift`; with 1, row 0 predicts position 0 as well.
   * Always 1 for causal models.
   * @default the model's
   */
  readonly predictionShift?: 0 | 1;
  /**
   * Returns a number from 0 to below 1 for each masked position of a step, to replay a recorded run: in random order the
   * largest come first; with independent counts those below the step's probability are unmasked. Not for causal models.
   * @default the generator of `seed`
   */
  readonly draws?: (step: number, positions: Int32Array) => ArrayLike<number>;
}

/**
 * When a call ends before all positions are filled.
 *
 * - `true`: once an EOS or pad is committed and everything before it is filled;
 * - `'commit'`: the same, checked only after steps that commit an EOS, and at the end of a block;
 * - `'block'`: after a block that holds an EOS.
 */
export type StopAtEos = boolean | 'commit' | 'block';

/** Options of `generate` and `denoise`. The mask token is never predicted. */
export interface GenerateOptions extends SamplingOptions {
  /**
   * The form of the prompt: `'task'` wraps it as `Question: …\nAnswer:`, `'chat'` makes it the user's turn in the chat
   * template, `'completion'` leaves it unchanged; an empty prompt stays empty. @default 'task' for RND1, and where
   * generation_config.json has a `task_template`; else 'chat' if the checkpoint has a chat template; else 'completion'
   */
  readonly mode?: 'task' | 'chat' | 'completion';
  /** Positions after the prompt. @default generation_config.json's, else 256, if the model's longest canvas allows */
  readonly maxNewTokens?: number;
  /** The reserved slot at the end holds EOS instead of pad. Not for causal models. @default false */
  readonly addEos?: boolean;
  /**
   * Reserve the last slot, as RND1's reference does; not for causal models. @default true for RND1, and with `addEos`
   */
  readonly reserveEnd?: boolean;
  /** Stop once the text has ended. @default true */
  readonly stopAtEos?: StopAtEos;
}

/** The text before and after the tokens to write, and how many. */
export interface InfillInput {
  /** @default '' */
  readonly prefix?: string;
  /**
   * Models that write blocks (LLaDA2, SDAR) see of it what lies in the block of the last written token; a RangeError if
   * that is nothing. @default ''
   */
  readonly suffix?: string;
  /** Tokens to write between them. */
  readonly length: number;
}

/** Options of `infill`: mask, EOS and pad are never predicted, nothing is trimmed. */
export interface InfillOptions extends SamplingOptions {}

/** Options of `fill`: as `infill`, with holes anywhere. */
export interface FillOptions extends SamplingOptions {
  /** Marker of a hole in a string template. @default '___' */
  readonly hole?: string;
  /** Tokens per hole of a string template. @default 4 */
  readonly tokensPerHole?: number;
}

/** Text with holes: pieces of text and holes of a given number of tokens. */
export type Template =
  | string
  | readonly (
      | string
      | {
          /** Tokens to write here. */
          readonly length: number;
        }
    )[];

/** Options of `forward`. */
export interface ForwardOptions {
  /** The positions to return, in this order. @default all */
  readonly positions?: TokenIds;
  /** Return the hidden states. @default false */
  readonly hidden?: boolean;
  /** Return the logits, expert ids and weights of the routers; only for models with experts. @default false */
  readonly routing?: boolean;
  /** Expert ids to use instead of the router's choice, [layers with experts, tokens, expertsPerToken]. */
  readonly forcedExperts?: Int32Array;
  /**
   * Position i attends to position j if j div `blockLength` ≤ i div `blockLength`; 0 makes all positions visible. Not
   * for causal models. @default the model's own: 0, or the length of the blocks that it was trained to write
   */
  readonly blockLength?: number;
  /** When it aborts, the call rejects at once with its reason. @default none */
  readonly signal?: AbortSignal;
}

/** A canvas of `forwardAll`, and what to return of it. */
export interface ForwardCanvas extends Omit<ForwardOptions, 'blockLength' | 'signal'> {
  /** The canvas. */
  readonly tokens: TokenIds;
}

/** Options of `forwardAll`, for all of its canvases. */
export type ForwardAllOptions = Pick<ForwardOptions, 'blockLength' | 'signal'>;

/** R = number of positions returned. */
export interface ForwardOutput {
  /** Row-major, one row for each position returned. */
  readonly logits: Float32Array;
  /** [R, vocabulary] */
  readonly shape: readonly [number, number];
  /** Hidden states, each [R, hidden]; with `hidden: true`. */
  readonly hidden?: {
    /** After the embedding. */
    readonly embed: Float32Array;
    /** After each layer. */
    readonly layers: readonly Float32Array[];
    /** After the final norm: the input of the LM head. */
    readonly finalNorm: Float32Array;
  };
  /** One per layer that has experts; with `routing: true`. */
  readonly routing?: readonly {
    /** [R, experts], before the softmax or sigmoid */
    readonly logits: Float32Array;
    /** [R, expertsPerToken], best first */
    readonly expertIds: Int32Array;
    /** [R, expertsPerToken], the factors applied to the experts' outputs */
    readonly expertWeights: Float32Array;
  }[];
}

/** A canvas, and how `scoreAndUnmask` scores and commits its positions. */
export interface UnmaskRequest
  extends Pick<SamplingOptions, 'temperature' | 'topK' | 'topP' | 'filterOrder' | 'confidence' | 'greedy'> {
  /** The canvas, masked positions included. */
  readonly tokens: TokenIds;
  /** Positions to score, ascending. */
  readonly masked: TokenIds;
  /** The masked positions that may be committed. @default all */
  readonly eligible?: TokenIds;
  /** Which positions are committed first. @default 'confidence' with `gamma` and `tau`, else 'entropy' */
  readonly order?: 'entropy' | 'confidence' | 'margin' | 'random';
  /**
   * How many positions are committed: all but the worst `keep`; as many as `gamma` allows (entropy-bounded, in nats);
   * or those with probability ≥ `tau`, at least one. @default { keep: 0 }
   */
  readonly limit?:
    | {
        /** Positions that stay masked. */
        readonly keep: number;
      }
    | {
        /** Nats. */
        readonly gamma: number;
      }
    | {
        /** A probability, above 0. */
        readonly tau: number;
      };
  /** @default 0 */
  readonly seed?: number | bigint;
  /** Counter of the random number generator. @default 1 */
  readonly round?: number;
  /** Token ids that are never predicted. @default none */
  readonly banned?: TokenIds;
}

/** The positions that one step commits, and all scores. */
export interface UnmaskResult {
  /** Positions committed, ascending. */
  readonly committed: Int32Array;
  /** Predicted tokens; aligned with `masked`. */
  readonly predicted: Int32Array;
  /** log-probability of the prediction; aligned with `masked`. */
  readonly confidence: Float32Array;
  /** Entropy in nats; aligned with `masked`. */
  readonly entropy: Float32Array;
}

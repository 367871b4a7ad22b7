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

/** How many positions each step unmasks, or the bound that decides it. */
export type SimpleSchedule =
  | 'entropy'
  | 'confidence'
  | 'margin'
  | 'random'
  /** Linear: every step commits about the same number of positions, in the order that `type` names. */
  | { readonly type: 'entropy' | 'confidence' | 'margin' | 'random' }
  /** In order of confidence, as many as keep Σ entropy − max entropy ≤ gamma (nats). */
  | {
      readonly type: 'entropy-bounded';
      /** Nats, ≥ 0. */
      readonly gamma: number;
    }
  /** All positions predicted with probability ≥ `tau` (0 < tau ≤ 1), and always at least one. */
  | {
      readonly type: 'threshold';
      /** A probability, above 0. */
      readonly tau: number;
    };

/** A schedule over all positions at once, or block by block. */
export type Schedule =
  | SimpleSchedule
  /** Semi-autoregressive: blocks of `length` positions, left to right, each filled by `schedule`. */
  | {
      readonly type: 'blocks';
      /** Positions per block; the last block may be shorter. */
      readonly length: number;
      /** How each block is filled. @default 'entropy' */
      readonly schedule?: SimpleSchedule;
    };

/** Options of every denoising call. */
export interface SamplingOptions {
  /**
   * Number of rounds; 0 counts as 1. No effect on causal models, which write a token a round.
   * @default min(num_diffusion_steps of generation_config.json or config.json, masked positions)
   */
  readonly steps?: number;
  /** No effect on causal models. @default 'entropy' */
  readonly schedule?: Schedule;
  /** 0 means greedy, scored at temperature 1. @default 0 */
  readonly temperature?: number;
  /** Keep the k most probable tokens. @default off */
  readonly topK?: number | null;
  /** Keep the most probable tokens that together reach this probability, at least two. @default off */
  readonly topP?: number | null;
  /** Predict the most probable token instead of drawing. @default temperature === 0 */
  readonly greedy?: boolean;
  /** Same seed, same text. An integer or a 64-bit bigint. @default random, returned with the result */
  readonly seed?: number | bigint;
  /** Also yield the canvas before the first round, as step 0, which commits nothing. @default false */
  readonly initialFrame?: boolean;
  /** When it aborts, the call rejects at once with its reason. @default none */
  readonly signal?: AbortSignal;
}

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
  /** The reserved slot holds EOS instead of pad. @default false */
  readonly addEos?: boolean;
  /** Reserve the last slot when there is an EOS id and a prefix or suffix; never for causal models. @default true */
  readonly reserveEnd?: boolean;
  /**
   * Stop once an EOS or pad is committed and everything before it is filled.
   * @default false; true for causal models
   */
  readonly stopAtEos?: boolean;
  /** Token ids that are never predicted. @default none */
  readonly banned?: TokenIds;
}

/** Options of `generate` and `denoise`. The mask token is never predicted. */
export interface GenerateOptions extends SamplingOptions {
  /** `'task'` wraps the prompt as `Question: …\nAnswer:`; `'completion'` leaves it unchanged. @default 'task' */
  readonly mode?: 'task' | 'completion';
  /** Positions after the prompt. @default generation_config.json's, else 256, if the model's longest canvas allows */
  readonly maxNewTokens?: number;
  /** The reserved slot at the end holds EOS instead of pad. @default false */
  readonly addEos?: boolean;
  /** Reserve the last slot, as the reference does; never for causal models. @default true */
  readonly reserveEnd?: boolean;
  /** Stop once the text has ended. @default true */
  readonly stopAtEos?: boolean;
}

/** The text before and after the tokens to write, and how many. */
export interface InfillInput {
  /** @default '' */
  readonly prefix?: string;
  /** @default '' */
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
export interface UnmaskRequest extends Pick<SamplingOptions, 'temperature' | 'topK' | 'topP' | 'greedy'> {
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

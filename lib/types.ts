import type { RND1Error } from './errors';

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
} from './load-types';

/** The plan: how many positions, or which bound, each step unmasks. */
export type SimpleSchedule =
  | 'entropy'
  | 'confidence'
  | 'margin'
  | 'random'
  /** Linear in the number of positions; the surest are committed first. */
  | { readonly type: 'entropy' | 'confidence' | 'margin' | 'random' }
  /** As many as the accumulated entropy allows: Σ entropy − max entropy ≤ gamma (nats), in order of confidence. */
  | {
      readonly type: 'entropy-bounded';
      /** Nats, ≥ 0. */
      readonly gamma: number;
    }
  /** All whose probability is at least `tau` (0 < tau ≤ 1), and always at least one. */
  | {
      readonly type: 'threshold';
      /** A probability, above 0. */
      readonly tau: number;
    };

/** The plan, over all positions at once or block by block. */
export type Schedule =
  | SimpleSchedule
  /** Semi-autoregressive: blocks of `length` positions, left to right, each filled by `schedule`. */
  | {
      readonly type: 'blocks';
      /** Positions of a block, the last one perhaps excepted. */
      readonly length: number;
      /** How each block is filled. @default 'entropy' */
      readonly schedule?: SimpleSchedule;
    };

/** What every denoising call understands. */
export interface SamplingOptions {
  /** Rounds; 0 counts as 1. @default min(num_diffusion_steps of generation_config.json or config.json, masked positions) */
  readonly steps?: number;
  /** @default 'entropy' */
  readonly schedule?: Schedule;
  /** 0 means greedy, scored at temperature 1. @default 0 */
  readonly temperature?: number;
  /** Keep the k most probable tokens. @default off */
  readonly topK?: number | null;
  /** Keep the most probable tokens with this probability in all, at least two. @default off */
  readonly topP?: number | null;
  /** Predict the most probable token instead of drawing. @default temperature === 0 */
  readonly greedy?: boolean;
  /** Same seed, same text. An integer or a 64-bit bigint. @default random, returned with the result */
  readonly seed?: number | bigint;
  /** Yield the canvas as it is before the first step, too: as step 0, which commits nothing. @default false */
  readonly initialFrame?: boolean;
  /** Rejects with its reason as soon as it aborts. @default none */
  readonly signal?: AbortSignal;
}

/** Token ids that replace those of the checkpoint. */
export interface SpecialTokenOptions {
  /** @default generation_config.json, then config.json */
  readonly maskTokenId?: number;
  /** null = none. @default generation_config.json, then config.json */
  readonly eosTokenId?: number | readonly number[] | null;
  /** null = none. @default generation_config.json, then config.json */
  readonly padTokenId?: number | null;
  /** null = none. @default generation_config.json, then config.json */
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
  /** Positions after the prefix, suffix and reserved slot included. @default generation_config.json's, else 256 */
  readonly maxNewTokens?: number;
  /** The number of masked positions, exactly; instead of `maxNewTokens`. */
  readonly length?: number;
  /** All tokens as they are; with `masked`, instead of the four above. */
  readonly canvas?: TokenIds;
  /** The positions of `canvas` to fill. */
  readonly masked?: TokenIds;
  /** The reserved slot holds EOS instead of pad. @default false */
  readonly addEos?: boolean;
  /** Reserve the last slot when there is an EOS id and a prefix or suffix. @default true */
  readonly reserveEnd?: boolean;
  /** Stop once an EOS or pad is committed and everything before it is filled. @default false */
  readonly stopAtEos?: boolean;
  /** Token ids that are never predicted. @default none */
  readonly banned?: TokenIds;
}

/** What one native step has done, for those who watch over a model. */
export interface StepReport {
  /** Canvases that shared the step. */
  readonly canvases: number;
  /** Their tokens in all. */
  readonly rows: number;
  /** Positions that were scored. */
  readonly masked: number;
  /** Positions that were committed. */
  readonly committed: number;
  /** From its call to its result. */
  readonly seconds: number;
}

/** The canvas after one round's commit. All arrays are fresh copies of canvas length. */
export interface TokenFrame {
  /** The round, counted from 1. Rounds that commit nothing are counted but not yielded. */
  readonly step: number;
  /** Rounds planned in all. */
  readonly steps: number;
  /** The canvas; masked positions hold the mask token. */
  readonly tokens: Int32Array;
  /** 1 = still masked. */
  readonly masked: Uint8Array;
  /** Positions committed in this round, ascending. */
  readonly committed: Int32Array;
  /** Predicted tokens of this round; −1 where the position was not masked before it. */
  readonly predicted: Int32Array;
  /** log-probability of the prediction; NaN where the position was not masked before the round. */
  readonly confidence: Float32Array;
  /** Entropy in nats; NaN where the position was not masked before the round. */
  readonly entropy: Float32Array;
  /** Forward passes so far. */
  readonly forwards: number;
}

/** What a denoising call comes to. */
export interface TokenResult {
  /** The whole canvas. Where `stopAtEos` ended it early, positions behind the end still hold the mask token. */
  readonly tokens: Int32Array;
  /** Positions that were masked at the start. */
  readonly positions: Int32Array;
  /** The seed that was given or drawn: the same call with it gives the same tokens. */
  readonly seed: bigint;
  /** Rounds counted, those that committed nothing included. */
  readonly steps: number;
  /** Forward passes. */
  readonly forwards: number;
  /** `'stop'`: an EOS or pad ended it early (`stopAtEos`); `'length'`: every position is filled. */
  readonly finishReason: 'stop' | 'length';
}

/** Options of `generate` and `denoise`. The mask token is never predicted. */
export interface GenerateOptions extends SamplingOptions {
  /** `'task'` wraps the prompt as `Question: …\nAnswer:`; `'completion'` leaves it alone. @default 'task' */
  readonly mode?: 'task' | 'completion';
  /** @default generation_config.json's, else 256, capped by what the model can attend to */
  readonly maxNewTokens?: number;
  /** The reserved slot at the end holds EOS instead of pad. @default false */
  readonly addEos?: boolean;
  /** Reserve the last slot, as the reference does. @default true */
  readonly reserveEnd?: boolean;
  /** Stop once the text has ended. @default true */
  readonly stopAtEos?: boolean;
}

/** What stands before and after the text that is to be written. */
export interface InfillInput {
  /** @default '' */
  readonly prefix?: string;
  /** @default '' */
  readonly suffix?: string;
  /** Tokens to write between them. */
  readonly length: number;
}

/** Options of `infill`: mask, EOS and pad are never predicted, nothing is cut. */
export interface InfillOptions extends SamplingOptions {}

/** Options of `fill`: as `infill`, with holes anywhere. */
export interface FillOptions extends SamplingOptions {
  /** What marks a hole in a string. @default '___' */
  readonly hole?: string;
  /** Tokens per hole of a string. @default 4 */
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

export interface TextFrame extends TokenFrame {
  /** The canvas so far, the prompt included; every masked position shows as `░`. */
  readonly text: string;
  /**
   * What is written so far, as `TextResult` will have it: up to the end of text for `denoise`, one string per hole
   * for `denoiseFill`; every masked position shows as `░`.
   */
  readonly written: readonly string[];
}

/** What a text-level call comes to. */
export interface TextResult extends TokenResult {
  /**
   * `generate`: what was written, up to the end of text; in task mode without the white space around it. `infill`,
   * `fill`: the whole text.
   */
  readonly text: string;
  /**
   * What was written, exactly: one string per hole of `fill`, one in all for `generate` and `infill`. A character that
   * lies across neighbouring holes is in the one that it begins in.
   */
  readonly written: readonly string[];
}

/** Options of `forward`. */
export interface ForwardOptions {
  /** The positions to return, in this order. @default all */
  readonly positions?: TokenIds;
  /** Return the hidden states. @default false */
  readonly hidden?: boolean;
  /** Return what the routers decided. @default false */
  readonly routing?: boolean;
  /** Expert ids to use instead of the router's choice, [layers, tokens, expertsPerToken]. */
  readonly forcedExperts?: Int32Array;
  /** Rejects with its reason as soon as it aborts. @default none */
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
    /** After the final norm: what the logits are made of. */
    readonly finalNorm: Float32Array;
  };
  /** One per layer; with `routing: true`. */
  readonly routing?: readonly {
    /** [R, experts], before the softmax */
    readonly logits: Float32Array;
    /** [R, expertsPerToken], best first */
    readonly expertIds: Int32Array;
    /** [R, expertsPerToken], the factors really used */
    readonly expertWeights: Float32Array;
  }[];
}

/** Given logits and a canvas, what one step would commit. */
export interface UnmaskRequest {
  /** The canvas, masked positions included. */
  readonly tokens: TokenIds;
  /** Positions to score, ascending. */
  readonly masked: TokenIds;
  /** Those of `masked` that may be committed. @default all */
  readonly eligible?: TokenIds;
  /** Which come first. @default 'confidence' with `gamma` and `tau`, else 'entropy' */
  readonly order?: 'entropy' | 'confidence' | 'margin' | 'random';
  /**
   * How many: all but the worst `keep`; or as many as `gamma` (entropy-bounded, in nats) allows; or those
   * with probability ≥ `tau`. @default { keep: 0 }
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
  /** 0 means greedy, scored at temperature 1. @default 0 */
  readonly temperature?: number;
  /** Keep the k most probable tokens. @default off */
  readonly topK?: number | null;
  /** Keep the most probable tokens with this probability in all, at least two. @default off */
  readonly topP?: number | null;
  /** Predict the most probable token instead of drawing. @default temperature === 0 */
  readonly greedy?: boolean;
  /** @default 0 */
  readonly seed?: number | bigint;
  /** Counter of the random numbers. @default 1 */
  readonly round?: number;
  /** Token ids that are never predicted. @default none */
  readonly banned?: TokenIds;
}

/** What one step commits, and the scores behind it. */
export interface UnmaskResult {
  /** Positions committed, ascending. */
  readonly committed: Int32Array;
  /** Aligned with `masked`. */
  readonly predicted: Int32Array;
  /** log-probability of the prediction; aligned with `masked`. */
  readonly confidence: Float32Array;
  /** Entropy in nats; aligned with `masked`. */
  readonly entropy: Float32Array;
}

export type { RND1Error };

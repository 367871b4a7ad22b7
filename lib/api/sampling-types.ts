/** How many positions each step unmasks, or the bound that decides it. */
export type SimpleSchedule =
  | 'entropy'
  | 'confidence'
  | 'margin'
  | 'random'
  /** Every step commits as many positions as `counts` says, in the order that `type` names. */
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
      /** The probability must be above `tau`. @default false */
      readonly strict?: boolean;
      /** How many are committed at least, the best ones: a number, or as many as `counts` says. @default 1 */
      readonly atLeast?: number | 'counts';
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
      /** Steps of every block; excludes `steps`. @default its share of `steps` */
      readonly steps?: number;
      /**
       * What blocks are counted from: the first position to fill, or position 0 of the canvas, so that the first block
       * may begin with tokens of the prompt, and positions are added at the end to make the last one whole.
       * @default 'masked'
       */
      readonly from?: 'masked' | 'canvas';
      /**
       * What a step computes: the whole canvas, or the canvas up to the end of the block. Models with block-causal
       * attention then attend in blocks of `length`. @default 'canvas'
       */
      readonly window?: 'canvas' | 'block';
    };

/**
 * How many positions each step commits, with `schedule`s that do not decide it by a bound.
 *
 * - `'proportional'`: n of m steps leave (m − n) / m of the positions masked (RND1);
 * - `'even'`: equal numbers, the first steps taking what is left over (LLaDA, LLaDA2);
 * - `'rounded'`: the expected numbers of α(t) = 1 − t, rounded; steps without any are left out (dLLM);
 * - `linear`: the expected numbers of times that fall evenly from 1 to `eps`, rounded down, and all in the last step
 *   (Dream); `independent`: each position is committed with that probability, whatever the order says.
 */
export type Counts =
  | 'proportional'
  | 'even'
  | 'rounded'
  | {
      /** Dream's. */
      readonly type: 'linear';
      /** The last time but one, from 0 to 1. @default 0.001 */
      readonly eps?: number;
      /** Every position is drawn by itself. @default false */
      readonly independent?: boolean;
    };

/** Revision of committed tokens: LLaDA2.1's token editing. */
export interface Editing {
  /** A token of the current block gives way to another prediction with a probability above this. */
  readonly threshold: number;
  /** Steps of a block at most after all its positions are filled; it ends with a step that edits nothing. @default 16 */
  readonly maxPostSteps?: number;
}

/**
 * Options of every denoising call. Defaults are those of the model's family (docs/sampling.md); a default named here is
 * RND1's.
 */
export interface SamplingOptions {
  /**
   * Number of rounds, of all blocks together; 0 counts as 1. Blocks share them in proportion to their size, at least one
   * each, also where the family's blocks have a number of their own (LLaDA2, SDAR). No effect on causal models, which
   * write a token a round.
   * @default min(num_diffusion_steps of generation_config.json or config.json, masked positions)
   */
  readonly steps?: number;
  /** No effect on causal models. @default 'entropy' */
  readonly schedule?: Schedule;
  /** How many positions a step commits. No effect on causal models. @default 'proportional' */
  readonly counts?: Counts;
  /** 0 means greedy, scored at temperature 1. @default 0 */
  readonly temperature?: number;
  /** Keep the k most probable tokens. @default off */
  readonly topK?: number | null;
  /** Keep the most probable tokens that together reach this probability, at least two. @default off */
  readonly topP?: number | null;
  /**
   * Which filter comes first. With `'top-p'` it keeps at least one token instead of two, and `topK` keeps ties (Dream).
   * @default 'top-k'
   */
  readonly filterOrder?: 'top-k' | 'top-p';
  /**
   * Whose probability a prediction's confidence is: of the tempered and filtered distribution that it was drawn from,
   * or of the model's own (LLaDA). @default 'filtered'
   */
  readonly confidence?: 'filtered' | 'raw';
  /** Predict the most probable token instead of drawing. @default temperature === 0 */
  readonly greedy?: boolean;
  /**
   * Temperature of the order: positions are drawn, without replacement, from softmax(score / `algTemp`), the score being
   * probability, margin or negative entropy; 0 takes the best. Not with bounds, nor for causal models. @default 0
   */
  readonly algTemp?: number;
  /**
   * Classifier-free guidance: logits become u + (`cfgScale` + 1) · (l − u), u those of a canvas without the prompt. Twice
   * the work. Not for causal models. @default 0, off
   */
  readonly cfgScale?: number;
  /** EOS is never predicted; `'first'`: the first EOS id only, if there are several. @default false */
  readonly suppressEos?: boolean | 'first';
  /**
   * EOS and the end of a turn count as improbable, so that positions that predict them are unmasked last. Not for causal
   * models. @default false
   */
  readonly zeroEosConfidence?: boolean;
  /** Revise committed tokens. Not for causal models. @default none */
  readonly editing?: Editing | null;
  /** A position that is given the mask token counts as masked again. Not for causal models. @default false */
  readonly remask?: boolean;
  /**
   * Steps that commit nothing: left out; run and yielded until a block is filled; or run and yielded to the last one,
   * as some references do. Not for causal models. @default 'skip'
   */
  readonly idleSteps?: 'skip' | 'until-filled' | 'run';
  /**
   * Keep keys and values between steps, so that a step computes only what is new. Models whose attention is causal or
   * block-causal keep those of finished text by default, also for later texts that begin alike, such as the next turn of
   * a conversation: the results are the same. Models with full attention may keep those before a block (`'prefix'`), or
   * before and after it (`'dual'`), as they were when the block began: quicker, and approximate. A run for which there is
   * no room (`LoadOptions.maxCacheBytes`) does without, as does one with `cfgScale`. `false`: never.
   * @default the exact cache of the model's attention, if it has one
   */
  readonly cache?: false | 'prefix' | 'dual';
  /** With `'prefix'` or `'dual'`: every so many steps of a block compute everything. @default the block's first one */
  readonly refresh?: number;
  /** Same seed, same text. An integer or a 64-bit bigint. @default random, returned with the result */
  readonly seed?: number | bigint;
  /** Also yield the canvas before the first round, as step 0, which commits nothing. @default false */
  readonly initialFrame?: boolean;
  /** When it aborts, the call rejects at once with its reason. @default none */
  readonly signal?: AbortSignal;
}

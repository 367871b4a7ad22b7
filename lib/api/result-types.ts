/** Report of one native step; see `DiffusionLM.onStep`. */
export interface StepReport {
  /** Canvases that shared the step. */
  readonly canvases: number;
  /** Tokens of all these canvases, without those in key/value caches. */
  readonly rows: number;
  /** Positions that were scored. */
  readonly masked: number;
  /** Positions that were committed. */
  readonly committed: number;
  /** Of these, positions that held another token before. */
  readonly edited: number;
  /** Duration of the native call. */
  readonly seconds: number;
}

/** The canvas after one round's commit. All arrays are fresh copies; all except `committed` have canvas length. */
export interface TokenFrame {
  /**
   * The round, counted from 1; 0 for the initial frame. Rounds that commit nothing are counted but not yielded, except
   * as `idleSteps` says.
   */
  readonly step: number;
  /** Number of rounds planned. */
  readonly steps: number;
  /**
   * The canvas; masked positions hold the mask token. Those of `denoiseTokens` include positions that make the last block
   * whole; see `schedule`.
   */
  readonly tokens: Int32Array;
  /** 1 = still masked. */
  readonly masked: Uint8Array;
  /** Positions committed in this round, ascending. */
  readonly committed: Int32Array;
  /** Those of `committed` that held another token before; see `editing`. */
  readonly edited: Int32Array;
  /** Predicted tokens of this round; −1 where the position was not scored. */
  readonly predicted: Int32Array;
  /** log-probability of the prediction; NaN where the position was not scored. */
  readonly confidence: Float32Array;
  /** Entropy in nats; NaN where the position was not scored. */
  readonly entropy: Float32Array;
  /** Number of forward passes so far. */
  readonly forwards: number;
}

/** Result of a denoising call. */
export interface TokenResult {
  /**
   * The whole canvas. If `stopAtEos` ended the call early, positions after the end may still hold the mask token; that
   * of a causal model ends there.
   */
  readonly tokens: Int32Array;
  /** Positions that were masked at the start; those that a causal model did not come to are missing. */
  readonly positions: Int32Array;
  /** The seed that was given or drawn: the same call with it gives the same tokens. */
  readonly seed: bigint;
  /** Number of the last round; rounds that committed nothing count. */
  readonly steps: number;
  /** Number of forward passes. */
  readonly forwards: number;
  /** `'stop'`: an EOS or pad ended the call early (`stopAtEos`); `'length'`: every position is filled. */
  readonly finishReason: 'stop' | 'length';
}

/** A frame of a text call. */
export interface TextFrame extends TokenFrame {
  /** Text of the canvas, prompt included; every masked position is shown as `░`. */
  readonly text: string;
  /**
   * Text written so far, divided as in `TextResult`: up to the end of text for `denoise`, one string per hole for
   * `denoiseFill`; every masked position is shown as `░`.
   */
  readonly written: readonly string[];
}

/** Result of a text call. */
export interface TextResult extends TokenResult {
  /**
   * `generate`, `chat`: the written text up to the end of text; in task mode without surrounding white space. `infill`,
   * `fill`: the whole text.
   */
  readonly text: string;
  /**
   * The written text, untrimmed: one string per hole of `fill`, a single one for other calls. A character
   * that spans neighbouring holes belongs to the hole in which it begins.
   */
  readonly written: readonly string[];
}

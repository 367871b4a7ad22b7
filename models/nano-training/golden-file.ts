/** What models/nano/golden.json holds. */

/** A question with its recorded answer. */
export interface GoldenText {
  readonly question: string;
  readonly prompt: string;
  readonly schedule: string;
  readonly max_new_tokens: number;
  readonly steps: number;
  readonly eb_gamma: number | null;
  readonly tokens: readonly number[];
  readonly text: string;
  readonly forwards: number;
}

/** The three largest logits of every position, (tokens, 3). */
export interface GoldenLogits {
  readonly tokens: readonly number[];
  readonly top3_ids: readonly (readonly number[])[];
  readonly top3_logits: readonly (readonly number[])[];
}

export interface NanoGolden {
  readonly made_by: string;
  readonly generate: readonly GoldenText[];
  readonly forward: readonly GoldenLogits[];
}

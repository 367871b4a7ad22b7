/**
 * What `POST /v1/denoise` takes and sends. The events of a run, in this order: one `start`, a `frame` for every step
 * that committed something, then `end` or `error`.
 */

/** A model in `GET /v1/models`. Servers of other versions may omit fields. */
export interface ServedModel {
  id: string;
  /** It is the model included in the package, which knows only a few tasks. */
  embedded?: boolean;
  /** The last slot of a prompt's canvas is reserved. */
  reserves_end?: boolean;
  /** null: the model's own, if a request has none. */
  starting_schedule?: { type: string; gamma?: number } | null;
  schedules?: ScheduleEntry[];
}

/** A schedule that the server knows. */
export interface ScheduleEntry {
  type: string;
  /** Which tokens a step commits. */
  commits: string;
  parameter: { name: string; unit: string; min: number; max: number | null; suggested: number } | null;
}

/** A position of the canvas as a run begins. */
export interface CanvasToken {
  position: number;
  id: number;
  text: string;
  masked: boolean;
}

export interface Prediction {
  position: number;
  id: number;
  text: string;
  /** A probability. */
  confidence: number;
  /** In nats. */
  entropy: number;
}

export interface Start {
  id: string;
  model: string;
  /** A string if it is beyond 2^53. */
  seed: number | string;
  /** Total number of planned steps. */
  steps: number;
  tokens: CanvasToken[];
}

export interface Frame {
  step: number;
  /** Positions that are still masked. */
  masked: number;
  committed: Prediction[];
  /** Positions of `committed` that held another token before. */
  edited: number[];
  provisional: Prediction[];
  elapsed_ms: number;
}

export interface End {
  /** null if the model has no tokenizer. */
  text: string | null;
  finish_reason: string;
  usage: { prompt_tokens: number; completion_tokens: number; steps: number };
  elapsed_ms: number;
}

/** The `error` object of a response. */
export interface Failure {
  message: string;
  type?: string;
  param?: string | null;
  code?: string | null;
}

export type RunEvent =
  | { event: 'start'; data: Start }
  | { event: 'frame'; data: Frame }
  | { event: 'end'; data: End }
  | { event: 'error'; data: { error: Failure } };

export type Schedule = string | { type: string; schedule?: Schedule; [parameter: string]: unknown };

/** A prompt, or a text with holes. */
export interface DenoiseRequest {
  prompt?: string;
  max_tokens?: number;
  text?: string;
  tokens_per_hole?: number;
  steps?: number;
  schedule?: Schedule;
  temperature?: number;
  seed?: number | string;
}

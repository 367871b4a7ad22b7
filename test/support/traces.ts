import type { TokenOptions } from '../../lib';
import { float32, type GoldenNumber } from './goldens';

/** The scores that one round starts from, aligned with its masked positions. */
interface RecordedScores {
  readonly tokens: readonly number[];
  readonly masked: readonly number[];
  readonly pred: readonly number[];
  readonly ent: readonly GoldenNumber[];
  readonly conf: readonly GoldenNumber[];
}

interface RecordedStep extends Partial<RecordedScores> {
  readonly iteration: number;
  readonly keep?: number;
  readonly repeat?: true;
  readonly done?: true;
  readonly unmasked: readonly number[];
}

interface ReferenceArguments {
  readonly prefix_ids?: readonly number[] | readonly (readonly number[])[];
  readonly inputs?: readonly (readonly number[])[];
  readonly suffix_ids?: readonly number[] | readonly (readonly number[])[];
  readonly infill_length?: number;
  readonly pad_token_id?: number | null;
}

/** A trace of the reference's sampler: see FORMAT.md beside the golden data. */
export interface Trace {
  readonly name: string;
  readonly variant: 'reference' | 'nan_safe';
  readonly checkpoint: string;
  readonly config: string;
  readonly api: 'generate' | 'diffusion_sample';
  readonly args: ReferenceArguments;
  readonly order: 'defined' | 'undefined';
  readonly position0_step_undefined: boolean;
  readonly resolved: {
    readonly seq_len: number;
    readonly num_steps: number;
    readonly temperature: number;
    readonly top_k: number | null;
    readonly top_p: number | null;
    readonly eb_gamma: number | null;
    readonly greedy: boolean;
    readonly mask_token_id: number;
    readonly eos_token_id: number | null;
    readonly pad_token_id: number;
    readonly bos_token_id: number | null;
    readonly add_eos_at_end: boolean;
    readonly infill_length?: number;
  };
  readonly initial_tokens: readonly number[];
  readonly initial_masked: readonly number[];
  readonly steps: readonly RecordedStep[];
  readonly final_fill: Omit<RecordedStep, 'iteration'> | null;
  readonly tokens: readonly number[];
  readonly margins: { readonly min_pred_gap: number };
}

/** One forward pass of the reference with its scores, and what the rounds that used it committed. */
export interface Round {
  /** Counted from 1, rounds that commit nothing included; the final fill is the last. */
  readonly step: number;
  /** The canvas before the round. */
  readonly tokens: readonly number[];
  readonly masked: readonly number[];
  readonly predicted: readonly number[];
  readonly entropy: Float32Array;
  readonly confidence: Float32Array;
  /** How many positions stay masked, if the schedule decides by count. */
  readonly keep: number | undefined;
  readonly committed: readonly number[];
}

/** All rounds of a trace before everything was committed, with the scores of repeated forward passes filled in. */
export function roundsOf(trace: Trace): Round[] {
  const last = { ...trace.final_fill, iteration: Math.max(1, trace.resolved.num_steps), keep: 0 };
  const steps: RecordedStep[] = [...trace.steps];
  if (trace.final_fill !== null) steps.push({ ...last, unmasked: trace.final_fill.unmasked });
  const rounds: Round[] = [];
  let scores: RecordedScores | undefined;
  for (const step of steps) {
    if (step.done) continue;
    if (!step.repeat) scores = step as RecordedStep & RecordedScores;
    if (scores === undefined) throw new Error(`${trace.name} repeats what is not there`);
    rounds.push({
      step: step.iteration,
      tokens: scores.tokens,
      masked: scores.masked,
      predicted: scores.pred,
      entropy: float32(scores.ent),
      confidence: float32(scores.conf),
      keep: step.keep,
      committed: step.unmasked,
    });
  }
  return rounds;
}

function flat(ids: ReferenceArguments['prefix_ids']): readonly number[] | undefined {
  const first = ids?.[0];
  return Array.isArray(first) ? first : (ids as readonly number[] | undefined);
}

/** Options for scoring, the same for whole calls and for `scoreAndUnmask`. */
export function scoringOf({ resolved }: Trace) {
  return {
    // 0 means 1e-8 in the reference, but greedy at temperature 1 here.
    temperature: Math.max(resolved.temperature, 1e-8),
    topK: resolved.top_k,
    topP: resolved.top_p,
    greedy: resolved.greedy,
  };
}

/** How the masked positions are specified: by a layout option, or (`'canvas'`) as an explicit list. */
export type Layout = 'maxNewTokens' | 'length' | 'canvas';

/** The layout option that corresponds to the reference's call. */
export function layoutOf({ api, args, resolved }: Trace): Layout {
  if (api === 'generate' && args.infill_length !== undefined) return 'length';
  const prefix = flat(args.prefix_ids ?? args.inputs);
  const room = resolved.seq_len - (prefix?.length ?? 0) - (flat(args.suffix_ids)?.length ?? 0);
  const reserved = resolved.eos_token_id === null ? 0 : 1;
  // With room to spare the reference puts pads after the suffix, which no layout option does.
  const spare = resolved.infill_length !== undefined && resolved.infill_length < room - reserved;
  return spare ? 'canvas' : 'maxNewTokens';
}

/** Options that correspond to the reference's call. */
export function optionsOf(trace: Trace, layout = layoutOf(trace)): TokenOptions {
  const { args, resolved } = trace;
  const prefix = flat(args.prefix_ids ?? args.inputs);
  const suffix = flat(args.suffix_ids);
  const gamma = resolved.eb_gamma;
  const options: TokenOptions = {
    ...scoringOf(trace),
    steps: resolved.num_steps,
    schedule: gamma === null ? 'entropy' : { type: 'entropy-bounded', gamma },
    maskTokenId: resolved.mask_token_id,
    eosTokenId: resolved.eos_token_id,
    padTokenId: args.pad_token_id === undefined ? resolved.pad_token_id : args.pad_token_id,
    bosTokenId: resolved.bos_token_id,
  };
  if (layout === 'canvas') return { ...options, canvas: trace.initial_tokens, masked: trace.initial_masked };
  const fixed = { ...options, prefix, suffix, addEos: resolved.add_eos_at_end };
  // The reference's generate() includes the reserved slot in `infill_length`.
  if (layout === 'length') return { ...fixed, length: (args.infill_length as number) - 1 };
  return { ...fixed, maxNewTokens: resolved.seq_len - (prefix?.length ?? 0) };
}

import type { Architecture } from '../../types/native';
import type { GenerateOptions, SamplingOptions } from '../api/types';
import type { Fields } from '../support/fields';

/**
 * Role of a weight (types/native.d.ts) → its name in checkpoints. `N` stands for the layer, `E` for the expert. Roles
 * of the same name are one stored tensor: its rows are theirs, one after another as `expectedTensors` lists them.
 */
export type TensorNames = Readonly<Record<string, string>>;

/** Ids that a family's published models share. */
export interface KnownTokens {
  readonly mask?: number;
  readonly eos?: readonly number[];
  readonly pad?: number;
  readonly bos?: number;
}

/** Options that are the default of a family's models: its own sampler. */
export type Preset = Omit<SamplingOptions, 'seed' | 'initialFrame' | 'signal'> &
  Pick<GenerateOptions, 'reserveEnd' | 'stopAtEos'>;

/** How a family's instruction-tuned models mark the turns of a conversation. */
export interface ChatMarkers {
  /** The token that ends a turn, as tokenizer.json spells it. It ends a text, whether or not the files say so. */
  readonly endOfTurn: string;
  /** The chat template of checkpoints without one, in Jinja. @default none */
  readonly template?: string;
}

/** Models whose config.json and tensors are written alike. */
export interface Family {
  readonly name: string;
  /** Its name in texts. */
  readonly title: string;
  /** Values of `model_type`. */
  readonly modelTypes: readonly string[];
  /** Tells families with the same `model_type` apart. @default takes all */
  readonly takes?: (fields: Fields) => boolean;
  /**
   * The graph that config.json describes.
   * Throws `unsupported_model` for features that are not implemented, `invalid_checkpoint` for values that are missing,
   * of a wrong type or contradict each other; both name file, key and value.
   */
  readonly read: (fields: Fields) => Architecture;
  readonly names: TensorNames;
  /** Used for tokens that no file names, if they are in the vocabulary. */
  readonly tokens: KnownTokens;
  /** Defaults of sampling options (docs/sampling.md). */
  readonly preset: Preset;
  /** Whether a checkpoint without a mask token is refused. @default false */
  readonly needsMask?: boolean;
  /** @default none: the files say all */
  readonly chat?: ChatMarkers;
}

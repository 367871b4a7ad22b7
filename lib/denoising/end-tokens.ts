import type { Canvas, SpecialTokens } from './canvas';

/** The tokens that end a text: EOS, and pad, which a model writes after the end. */
export function endTokens({ eos, pad }: Pick<SpecialTokens, 'eos' | 'pad'>): readonly number[] {
  return pad === null ? eos : [...eos, pad];
}

/** Whether a token ends the text of a canvas. */
export function endsText({ special }: Pick<Canvas, 'special'>, token: number): boolean {
  return special.eos.includes(token) || token === special.pad;
}

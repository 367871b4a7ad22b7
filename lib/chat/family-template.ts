import type { Tokenizer } from '../checkpoint/tokenizer/tokenizer';
import { familyNamed } from '../families';

/**
 * The chat template of a family's models, for checkpoints without one; null if it has none, or if its markers are no
 * tokens of the tokenizer: it would be plain text.
 */
export function familyTemplateOf(family: string, tokenizer: Tokenizer | null): string | null {
  const { chat } = familyNamed(family);
  if (chat?.template === undefined || tokenizer?.idOf(chat.endOfTurn) === undefined) return null;
  return chat.template;
}

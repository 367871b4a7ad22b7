import type { ChatMessage } from '../api/types';
import { messageNames } from '../support/option-names';
import { optionsObject, quote, stringOption, wordOption } from '../support/validate';
import type { TemplateMessage } from './chat-template';

const roles = ['system', 'user', 'assistant'] as const;

/** Checks and copies messages; TypeErrors and RangeErrors name the field. */
export function readMessages(messages: readonly ChatMessage[]): TemplateMessage[] {
  if (!Array.isArray(messages)) throw new TypeError(`messages must be a list, not ${quote(messages)}`);
  if (messages.length === 0) throw new RangeError('messages must not be empty');
  // Array.from does not pass over holes.
  return Array.from(messages, (message, i) => {
    if (typeof message !== 'object' || message === null) {
      throw new TypeError(`messages[${i}] must be { role, content }, not ${quote(message)}`);
    }
    const { role, content } = optionsObject<ChatMessage>(`messages[${i}]`, message, messageNames);
    return {
      role: wordOption(`messages[${i}].role`, role, roles),
      content: stringOption(`messages[${i}].content`, content),
    };
  });
}

/** Checks and copies the variables of a template. A worker thread must be able to receive them. */
export function readVariables(value: unknown): Record<string, unknown> {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`templateVariables must be an object, not ${quote(value)}`);
  }
  try {
    return structuredClone(value) as Record<string, unknown>;
  } catch (error) {
    throw new TypeError(`templateVariables must be plain data, not ${quote(value)}`, { cause: error });
  }
}

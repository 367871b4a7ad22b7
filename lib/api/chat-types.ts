import type { GenerateOptions } from './types';

/** A message of a conversation. */
export interface ChatMessage {
  /** Who says it. Not every template takes system messages, or two messages of the same role in a row. */
  readonly role: 'system' | 'user' | 'assistant';
  /** Its text. */
  readonly content: string;
}

/** Options of `chat` and its kin: as of `generate`. */
export interface ChatOptions extends Omit<GenerateOptions, 'mode'> {
  /**
   * Variables of the chat template beside the messages, such as `{ enable_thinking: false }`; `chat_template` names one
   * of several templates. @default none
   */
  readonly templateVariables?: Readonly<Record<string, unknown>>;
}

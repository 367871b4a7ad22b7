import type { TemplateMessage } from '../../chat/chat-template';
import { ApiError } from '../errors';
import type { ChatBody } from '../schemas';

type Message = ChatBody['messages'][number];
type Part = Exclude<NonNullable<Message['content']>, string>[number];

/**
 * Messages for the chat template: content becomes text, the role `developer` (of newer clients) becomes `system`, and
 * every other field (`name`, `tool_calls`, `reasoning_content` …) is passed on unless it is null.
 *
 * @throws ApiError 400, naming the field
 */
export function messagesOf({ messages }: ChatBody): TemplateMessage[] {
  return messages.map((message, i) => {
    const { role } = message;
    const fields = Object.entries(message).filter(([, value]) => value !== null);
    return {
      ...Object.fromEntries(fields),
      role: role === 'developer' ? 'system' : role,
      content: contentOf(message, `messages.${i}`),
    } as TemplateMessage;
  });
}

function contentOf({ role, content }: Message, path: string): string {
  if (typeof content === 'string') return content;
  if (content === undefined || content === null) {
    // Tool calls, refusals and functions without a result have no content.
    if (role === 'assistant' || role === 'function') return '';
    throw missing(`${path}.content`);
  }
  return content.map((part, i) => textOf(part, `${path}.content.${i}`)).join('\n');
}

function textOf(part: Part, path: string): string {
  const text = part.type === 'text' ? part.text : part.refusal;
  if (typeof text !== 'string') throw missing(`${path}.${part.type}`);
  return text;
}

function missing(field: string): ApiError {
  return new ApiError(400, 'missing_field', `${field} is missing`, { param: field });
}

import type { ChatPrompts } from '../../chat/chat-prompts';
import { ChatTemplateError } from '../../chat/chat-template-error';
import type { DiffusionLM } from '../../diffusion-lm';
import type { LossReason } from '../../worker/lane';
import { ApiError, asFieldError, withFieldNames } from '../errors';
import type { ServerSettings } from '../options';
import type { ChatBody } from '../schemas';
import { messagesOf } from './messages';

/**
 * Opens the chat template that the settings select, in a thread of the server's own, and reads it.
 *
 * @throws RND1Error `invalid_checkpoint` for a template of the checkpoint that cannot be parsed, TypeError for a given one
 */
export async function openChatPrompts(
  model: DiffusionLM,
  { chatTemplate }: Pick<ServerSettings, 'chatTemplate'>,
  onLost: (reason: LossReason) => void,
): Promise<ChatPrompts> {
  const closed = () => new ApiError(503, 'shutting_down', 'the server is shutting down');
  const prompts = model.openChatPrompts({ choice: chatTemplate, onLost, closed });
  await prompts.start().catch((error: unknown) => {
    prompts.close();
    throw error;
  });
  return prompts;
}

/**
 * The text that the model continues.
 *
 * @throws ApiError 400 for messages that the template refuses, naming the field
 */
export async function promptOf(body: ChatBody, prompts: ChatPrompts, signal: AbortSignal): Promise<string> {
  try {
    return await prompts.render(messagesOf(body), body.chat_template_kwargs ?? {}, signal);
  } catch (error) {
    if (!(error instanceof ChatTemplateError)) throw asFieldError(error);
    const { message, param } = error;
    throw new ApiError(400, error.code, withFieldNames(message), {
      param: withFieldNames(param),
      cause: error,
    });
  }
}

import { RND1Error } from '../support/errors';

/** The argument that a chat template refuses. */
export type RefusedArgument = 'messages' | 'templateVariables.chat_template';

/** A chat template cannot be used for these messages. */
export class ChatTemplateError extends RND1Error {
  constructor(
    message: string,
    readonly param: RefusedArgument,
    options?: { cause?: unknown },
  ) {
    super('chat_template_failed', message, options);
  }
}

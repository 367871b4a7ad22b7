import { RND1Error } from '../support/errors';

/** The error for a model that was not trained for conversations. */
export function chatTemplateMissing(folder: string): RND1Error {
  return new RND1Error(
    'chat_template_missing',
    `${folder} has no chat template: it is a base model, which continues texts. Use generate, or an instruct model such as inclusionAI/LLaDA-MoE-7B-A1B-Instruct`,
  );
}

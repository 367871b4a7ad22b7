import { join } from 'node:path';
import { readJsonObject, readText } from '../../checkpoint/files';
import { defaultTaskTemplate } from '../../denoising/text-canvas';
import type { DiffusionLM } from '../../diffusion-lm';
import { TemplateError } from '../../jinja';
import { RND1Error } from '../../support/errors';
import { ApiError } from '../errors';
import type { ServerSettings } from '../options';
import { NamedTemplates, readSources, type TemplateSources } from './named-templates';

/** A message whose content is plain text, with any other fields that a template may use. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool' | 'function';
  readonly content: string;
  readonly [field: string]: unknown;
}

/** Turns messages into the text that the model continues. */
export interface ChatTemplate {
  /** `'task'` without a template: a space before the answer then belongs to the task's format. */
  readonly kind: 'template' | 'task';
  render(messages: readonly ChatMessage[], variables: Readonly<Record<string, unknown>>): string;
}

/**
 * Reads the chat template that the settings select: a given one, the checkpoint's (chat_template.jinja, else
 * tokenizer_config.json), or the task template.
 *
 * @throws RND1Error `invalid_checkpoint` for a template of the checkpoint that cannot be parsed, TypeError for a given one
 */
export async function readChatTemplate(
  model: DiffusionLM,
  { chatTemplate }: Pick<ServerSettings, 'chatTemplate'>,
): Promise<ChatTemplate> {
  if (chatTemplate === 'task') return taskTemplate(model);
  const { folder } = model.info;
  const config = (await readJsonObject(join(folder, 'tokenizer_config.json'))) ?? {};
  if (chatTemplate !== 'auto') {
    try {
      return jinjaTemplate(readSources(chatTemplate.template), config);
    } catch (error) {
      throw new TypeError(`chatTemplate cannot be parsed: ${explain(error)}`, { cause: error });
    }
  }
  const sources = readSources((await readJinjaFile(folder)) ?? config.chat_template);
  if (sources.size === 0) return taskTemplate(model);
  try {
    return jinjaTemplate(sources, config);
  } catch (error) {
    const message = `${folder}: its chat template cannot be parsed: ${explain(error)}`;
    throw new RND1Error('invalid_checkpoint', message, { cause: error });
  }
}

async function readJinjaFile(folder: string): Promise<string | null> {
  return readText(join(folder, 'chat_template.jinja'));
}

function jinjaTemplate(sources: TemplateSources, config: Readonly<Record<string, unknown>>): ChatTemplate {
  const templates = new NamedTemplates(sources);
  const special = specialTokens(config);
  return {
    kind: 'template',
    render(messages, { chat_template: name, ...variables }) {
      try {
        return templates.choose(name, variables.tools).render({
          // transformers always passes these: templates test whether they are none.
          tools: null,
          documents: null,
          ...special,
          ...variables,
          messages,
          add_generation_prompt: true,
        });
      } catch (error) {
        if (error instanceof ApiError) throw error;
        throw new ApiError(
          400,
          'chat_template_failed',
          `the chat template refuses the messages: ${explain(error)}`,
          { param: 'messages', cause: error },
        );
      }
    },
  };
}

/** Longest error message: a template may put texts of any length into it. */
const messageLimit = 1000;

/** An error message with its line, except for errors that the template raises itself. */
function explain(error: unknown): string {
  const { message: whole } = error as Error;
  const message = whole.length > messageLimit ? `${whole.slice(0, messageLimit)}…` : whole;
  const line = error instanceof TemplateError && error.kind !== 'raised' ? error.line : null;
  return line === null ? message : `line ${line}: ${message}`;
}

/** `bos_token` and the like, which templates insert. */
function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const tokens: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(config)) {
    if (/^[a-z]+_token$/.test(name)) tokens[name] = contentOf(value);
  }
  const { additional_special_tokens: additional, extra_special_tokens: extra } = config;
  // Tokens specific to one model, by the names that its template uses.
  if (typeof extra === 'object' && extra !== null && !Array.isArray(extra)) {
    for (const [name, value] of Object.entries(extra)) tokens[name] = contentOf(value);
  }
  if (Array.isArray(additional)) tokens.additional_special_tokens = additional.map(contentOf);
  return tokens;
}

/** A token is a string, or an object that holds one; undefined for other values. */
function contentOf(value: unknown): string | undefined {
  const content = typeof value === 'object' ? (value as { content?: unknown } | null)?.content : value;
  return typeof content === 'string' ? content : undefined;
}

/**
 * For base models: every question in the task template, with the answers to the earlier ones. A single question gives
 * the same text as in `generate`.
 */
function taskTemplate(model: DiffusionLM): ChatTemplate {
  const task = model.config.generation.taskTemplate ?? defaultTaskTemplate;
  return {
    kind: 'task',
    render(messages) {
      if (messages.at(-1)?.role !== 'user') {
        throw new ApiError(400, 'invalid_value', 'the last message must be the user’s', {
          param: 'messages',
        });
      }
      const parts = messages.map(({ role, content }, i) => {
        if (role === 'user') return task.replaceAll('{prompt}', () => content);
        // An answer follows on the line of its question, as in the task template.
        return role === 'assistant' && i > 0 ? ` ${content}\n` : `${content}\n`;
      });
      return parts.join('');
    },
  };
}

import { type CheckpointFiles, openCheckpoint } from '../checkpoint/checkpoint-files';
import { TemplateError } from '../jinja';
import { RND1Error } from '../support/errors';
import { ChatTemplateError } from './chat-template-error';
import { NamedTemplates, readSources, type TemplateSources } from './named-templates';

/** A message whose content is plain text, with any other fields that a template may use. */
export interface TemplateMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool' | 'function';
  readonly content: string;
  readonly [field: string]: unknown;
}

/** Where a template comes from: the caller or the checkpoint, the model's family, or the task template of base models. */
export type TemplateKind = 'template' | 'family' | 'task';

/** Turns messages into the text that the model continues. */
export interface ChatTemplate {
  /** With `'task'` a space before the answer belongs to the task's format. */
  readonly kind: TemplateKind;
  render(messages: readonly TemplateMessage[], variables: Readonly<Record<string, unknown>>): string;
}

/** Which template is wanted: the checkpoint's or else its family's, the task template, or a given one. */
export type TemplateChoice = 'auto' | 'task' | { readonly template: string };

/** Where templates are found. */
export interface TemplatePlace {
  readonly folder: string;
  readonly choice: TemplateChoice;
  /** For a checkpoint that has none; null if its family has none either. */
  readonly familyTemplate: string | null;
  /** Contains `{prompt}`. */
  readonly taskTemplate: string;
}

/**
 * Reads the chat template of a choice. The checkpoint's is chat_template.jinja, else the one in tokenizer_config.json.
 *
 * @throws RND1Error `invalid_checkpoint` for a template of the checkpoint that cannot be parsed, TypeError for a given one
 */
export async function readChatTemplate(place: TemplatePlace): Promise<ChatTemplate> {
  const { folder, choice, familyTemplate, taskTemplate: task } = place;
  if (choice === 'task') return taskTemplate(task);
  const files = await openCheckpoint(folder);
  const config = await readTokenizerConfig(files);
  if (choice !== 'auto') {
    try {
      return jinjaTemplate('template', readSources(choice.template), config);
    } catch (error) {
      throw new TypeError(`chatTemplate cannot be parsed: ${explain(error)}`, { cause: error });
    }
  }
  const sources = await readOwnTemplates(files, config);
  if (sources.size === 0) {
    return familyTemplate === null
      ? taskTemplate(task)
      : jinjaTemplate('family', readSources(familyTemplate), config);
  }
  try {
    return jinjaTemplate('template', sources, config);
  } catch (error) {
    const message = `${folder}: its chat template cannot be parsed: ${explain(error)}`;
    throw new RND1Error('invalid_checkpoint', message, { cause: error });
  }
}

/** Whether a checkpoint has a chat template of its own. */
export async function hasOwnTemplate(folder: string): Promise<boolean> {
  const files = await openCheckpoint(folder);
  return (await readOwnTemplates(files, await readTokenizerConfig(files))).size > 0;
}

const readTokenizerConfig = async (files: CheckpointFiles) =>
  (await files.readJson('tokenizer_config.json')) ?? {};

async function readOwnTemplates(
  files: CheckpointFiles,
  config: Readonly<Record<string, unknown>>,
): Promise<TemplateSources> {
  return readSources((await files.readText('chat_template.jinja')) ?? config.chat_template);
}

function jinjaTemplate(
  kind: TemplateKind,
  sources: TemplateSources,
  config: Readonly<Record<string, unknown>>,
): ChatTemplate {
  const templates = new NamedTemplates(sources);
  const special = specialTokens(config);
  return {
    kind,
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
        if (error instanceof ChatTemplateError) throw error;
        throw new ChatTemplateError(`the chat template refuses the messages: ${explain(error)}`, 'messages', {
          cause: error,
        });
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
function taskTemplate(task: string): ChatTemplate {
  return {
    kind: 'task',
    render(messages) {
      if (messages.at(-1)?.role !== 'user')
        throw new TypeError('messages must end with a message of the user');
      const parts = messages.map(({ role, content }, i) => {
        if (role === 'user') return task.replaceAll('{prompt}', () => content);
        // An answer follows on the line of its question, as in the task template.
        return role === 'assistant' && i > 0 ? ` ${content}\n` : `${content}\n`;
      });
      return parts.join('');
    },
  };
}

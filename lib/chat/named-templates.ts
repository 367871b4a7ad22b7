import { firstFew, quote } from '../checkpoint/format';
import { Template } from '../jinja';
import { ChatTemplateError } from './chat-template-error';

/** Templates of a checkpoint by name; a single one is the default. */
export type TemplateSources = ReadonlyMap<string, string>;

const defaultName = 'default';
const toolsName = 'tool_use';

/**
 * The `chat_template` of tokenizer_config.json: a text, a list of `{ name, template }`, or an object with a template for
 * each name. Other values count as no template.
 */
export function readSources(value: unknown): TemplateSources {
  if (typeof value === 'string') return new Map([[defaultName, value]]);
  if (typeof value !== 'object' || value === null) return new Map();
  const pairs: [unknown, unknown][] = Array.isArray(value)
    ? (value as ({ name?: unknown; template?: unknown } | null)[]).map((entry) => [
        entry?.name,
        entry?.template,
      ])
    : Object.entries(value);
  const isTemplate = (pair: [unknown, unknown]): pair is [string, string] =>
    pair.every((each) => typeof each === 'string');
  return new Map(pairs.filter(isTemplate));
}

/** Chat templates by name. The default is parsed at once, others when they are first needed. */
export class NamedTemplates {
  readonly #parsed = new Map<string, Template>();

  /** @throws TemplateError for a default that cannot be parsed */
  constructor(private readonly sources: TemplateSources) {
    if (sources.has(defaultName)) this.#template(defaultName);
  }

  /**
   * The template for a request, by the rule of transformers: the one that it names, else `tool_use` if it has tools,
   * else the default. Null counts as no name.
   *
   * @throws ChatTemplateError if there is no template of that name, or neither a name nor a default
   */
  choose(name: unknown, tools: unknown): Template {
    const names = () => firstFew([...this.sources.keys()].sort().map(quote), 10);
    if (name !== undefined && name !== null) {
      if (typeof name === 'string' && this.sources.has(name)) return this.#template(name);
      throw refused(`there is no chat template ${quote(String(name))}, but ${names()}`);
    }
    if (tools !== undefined && tools !== null && this.sources.has(toolsName))
      return this.#template(toolsName);
    if (this.sources.has(defaultName)) return this.#template(defaultName);
    throw refused(
      `the checkpoint has chat templates without a default: name one of ${names()} in templateVariables.chat_template`,
    );
  }

  #template(name: string): Template {
    const known = this.#parsed.get(name);
    if (known !== undefined) return known;
    const template = new Template(this.sources.get(name) as string);
    this.#parsed.set(name, template);
    return template;
  }
}

const refused = (message: string) => new ChatTemplateError(message, 'templateVariables.chat_template');

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ChatPrompts } from '../../chat/chat-prompts';
import type { TemplateMessage } from '../../chat/chat-template';
import { familyTemplateOf } from '../../chat/family-template';
import { readSettings } from '../../checkpoint/folder';
import type { Tokenizer } from '../../checkpoint/tokenizer/tokenizer';
import { RND1Error } from '../../support/errors';

/** A document as tokens. */
export interface DocumentTokens {
  readonly tokens: Int32Array;
  /** How many of them are given, not learned. */
  readonly prompt: number;
}

/** Turns texts into tokens, by the tokenizer and the chat template of a model's folder. */
export class TextTokens {
  #chat: ChatPrompts | null = null;

  private constructor(
    private readonly folder: string,
    private readonly tokenizer: Tokenizer,
    private readonly familyTemplate: string | null,
    /** Ends documents and answers. */
    private readonly eos: number,
    /** Ids are below. */
    readonly vocabulary: number,
    /** SHA-256 of tokenizer.json and what else decides the tokens. */
    readonly fingerprint: string,
  ) {}

  /** @throws RND1Error `tokenizer_missing`, `invalid_checkpoint` */
  static async open(folder: string): Promise<TextTokens> {
    const { config, tokenizer } = await readSettings(folder);
    if (tokenizer === null)
      throw new RND1Error(
        'tokenizer_missing',
        `${folder} has no tokenizer.json: only token files can be used with it`,
      );
    const [eos] = config.tokens.eosTokenIds;
    if (eos === undefined)
      throw new RND1Error('invalid_checkpoint', `${folder} names no end of text, which must end documents`);
    const hash = createHash('sha256').update(`1 ${eos}\n`);
    for (const name of ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'])
      hash.update(await readFile(join(folder, name)).catch(() => Buffer.of(0)));
    return new TextTokens(
      folder,
      tokenizer,
      familyTemplateOf(config.family, tokenizer),
      eos,
      Math.max(tokenizer.size, eos + 1),
      hash.digest('hex'),
    );
  }

  /** A text that is learned whole, and its end. */
  document(text: string): DocumentTokens {
    return { tokens: this.#ended(this.tokenizer.encode(text)), prompt: 0 };
  }

  /** A text that is given, and its completion with an end. */
  completion(prompt: string, text: string): DocumentTokens {
    const given = this.tokenizer.encode(prompt);
    const learned = this.#ended(this.tokenizer.encode(text, { continues: true }));
    const tokens = new Int32Array(given.length + learned.length);
    tokens.set(given);
    tokens.set(learned, given.length);
    return { tokens, prompt: given.length };
  }

  /**
   * A conversation whose last message is learned. Throws ChatTemplateError for messages that the template refuses, and
   * `chat_template_missing`.
   */
  async conversation(messages: readonly TemplateMessage[], signal?: AbortSignal): Promise<DocumentTokens> {
    this.#chat ??= new ChatPrompts({
      folder: this.folder,
      choice: 'auto',
      familyTemplate: this.familyTemplate,
      taskTemplate: '{prompt}',
      limit: 10,
      closed: () => new RND1Error('disposed', 'the data set was closed'),
    });
    if ((await this.#chat.kind(signal)) === 'task')
      throw new RND1Error(
        'chat_template_missing',
        `${this.folder} has no chat template, which conversations need: add chat_template.jinja, or give prompts and completions`,
      );
    const prompt = await this.#chat.render(messages.slice(0, -1), {}, signal);
    return this.completion(prompt, messages.at(-1)?.content as string);
  }

  close(): void {
    this.#chat?.close();
  }

  #ended(tokens: Int32Array): Int32Array {
    const ended = new Int32Array(tokens.length + 1);
    ended.set(tokens);
    ended[tokens.length] = this.eos;
    return ended;
  }
}

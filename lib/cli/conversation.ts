import { writeFile } from 'node:fs/promises';
import type { ChatMessage } from '../index';
import { UsageError } from './input';

/** What a line of the user asks for. */
export type Turn =
  | { readonly kind: 'message'; readonly text: string }
  | { readonly kind: 'command'; readonly name: Command; readonly argument: string }
  | { readonly kind: 'nothing' };

const commands = ['help', 'reset', 'system', 'save', 'quit'] as const;
export type Command = (typeof commands)[number];

/** The list of commands. */
export const commandHelp = `  /help          print this
  /reset         begin a new conversation; the system message stays
  /system TEXT   set the system message; without TEXT, remove it
  /save FILE     write the conversation to a new file, as JSON
  /quit          end, as do Ctrl-D, and Ctrl-C at an empty prompt
  A line that ends with a backslash continues on the next one; a pasted block is
  one message. A message that begins with / is written with //.
  Ctrl-C stops an answer. The unfinished answer is forgotten with its question.`;

/**
 * Reads a line of the user.
 *
 * @throws UsageError for an unknown command, or a wrong number of arguments
 */
export function readTurn(line: string): Turn {
  const text = line.trim();
  if (text === '') return { kind: 'nothing' };
  if (!text.startsWith('/')) return { kind: 'message', text };
  if (text.startsWith('//')) return { kind: 'message', text: text.slice(1) };
  const [, word = '', argument = ''] = /^\/(\S*)\s*(.*)$/s.exec(text) ?? [];
  const name = commands.find((each) => each === word);
  if (name === undefined) throw new UsageError(`there is no command /${word}: /help lists all`);
  const takes = name === 'system' || name === 'save';
  if (!takes && argument !== '') throw new UsageError(`/${name} takes nothing after it`);
  if (name === 'save' && argument === '') throw new UsageError('/save needs the name of a new file');
  return { kind: 'command', name, argument };
}

/** The messages of a conversation: whole turns only. */
export class Conversation {
  #system: string | null;
  #turns: ChatMessage[] = [];

  constructor(system: string | undefined) {
    this.#system = system ?? null;
  }

  get messages(): readonly ChatMessage[] {
    const system: ChatMessage[] = this.#system === null ? [] : [{ role: 'system', content: this.#system }];
    return [...system, ...this.#turns];
  }

  /** The messages and a question. */
  asking(question: string): readonly ChatMessage[] {
    return [...this.messages, { role: 'user', content: question }];
  }

  /** Adds a question and its answer. */
  add(question: string, answer: string): void {
    this.#turns.push({ role: 'user', content: question }, { role: 'assistant', content: answer });
  }

  /** Forgets all turns. */
  reset(): void {
    this.#turns = [];
  }

  /** Sets the system message; an empty one removes it. */
  setSystem(text: string): void {
    this.#system = text === '' ? null : text;
  }

  /** Writes the messages to a new file. */
  async save(path: string): Promise<void> {
    await writeFile(path, `${JSON.stringify(this.messages, null, 2)}\n`, { flag: 'wx' }).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') throw new UsageError(`${path} exists: choose another name`);
        throw new UsageError(`cannot write ${path}: ${error.message}`);
      },
    );
  }
}

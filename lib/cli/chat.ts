import type { Command } from 'commander';
import { chatTemplateMissing } from '../chat/base-models';
import { familyTitle } from '../families';
import { type ChatOptions, type DiffusionLM, RND1Error, type TextFrame, type TextResult } from '../index';
import { printableMessage, printableName } from '../support/printable';
import { LineReader, TerminalReader, type TurnReader } from './chat-input';
import { Conversation, commandHelp, readTurn, type Turn } from './conversation';
import { integer, UsageError } from './input';
import { Interrupted, Interruption, Interruptions } from './interrupt';
import { loadModel, say } from './loading';
import {
  addModelOptions,
  addSamplingOptions,
  draws,
  type ModelFlags,
  type OutputFlags,
  type SamplingFlags,
  samplingOf,
  schedulesHelp,
  verboseHelp,
} from './options';
import { summary } from './output';
import { print, tell } from './run';
import { writtenText } from './task';
import { viewOf } from './view';

interface ChatFlags extends ModelFlags, SamplingFlags, Omit<OutputFlags, 'json'> {
  readonly system?: string;
  readonly maxNewTokens?: number;
}

const manual = `
Messages:
  In a terminal, messages are typed at a prompt, and answers are drawn while
  they unmask. From a pipe or a file every line is a message, and the output is
  one answer after another. The model must have a chat template: base models
  have none, and are for \`rnd1 generate\`.

Commands:
${commandHelp}
${schedulesHelp}
Exit codes:
  0 done, 1 failure, 2 wrong usage, 130 interrupted while no answer was being
  written (143 by SIGTERM, 129 by SIGHUP). From a pipe, the first message that
  fails ends the program.

Examples:
  $ echo 'Why is the sky blue?' | rnd1 chat -n 16 \\
      --model inclusionAI/LLaDA-MoE-7B-A1B-Instruct
  $ printf '%s\\n' 'Name a colour.' 'And another one.' | rnd1 chat -n 16 \\
      --model inclusionAI/LLaDA-MoE-7B-A1B-Instruct --system 'Be brief.'`;

/** `rnd1 chat` */
export function addChat(program: Command): void {
  const command = program
    .command('chat')
    .summary('converse with an instruct model')
    .description('Converses with an instruct model.')
    .optionsGroup('Text:')
    .option('--system <text>', 'system message (default: none, or the one in the chat template)')
    .option(
      '-n, --max-new-tokens <count>',
      'tokens of an answer; of RND1 including one reserved slot at the end (default: from the checkpoint, else 256)',
      integer(1),
    );
  addSamplingOptions(command);
  addModelOptions(command, 'needed, since the embedded nano model has no chat template');
  command
    .optionsGroup('Output:')
    .option('-q, --quiet', 'no progress, notes and summaries on standard error')
    .option('--no-live', 'do not draw answers while they unmask')
    .option('--verbose', verboseHelp)
    .addHelpText('after', manual)
    .action(chat);
}

async function chat(flags: ChatFlags): Promise<void> {
  const model = await load(flags);
  try {
    const kind = await model.chatPrompts.kind();
    if (kind === 'task') throw chatTemplateMissing(model.info.folder);
    if (kind === 'family') {
      const family = familyTitle(model.config.family);
      note(flags, `the checkpoint has no chat template: that of ${family}'s instruct models is used`);
    }
    using interruptions = new Interruptions();
    const interactive = process.stdin.isTTY === true && process.stdout.isTTY === true;
    const reader = interactive
      ? new TerminalReader(process.stdin, process.stdout)
      : new LineReader(process.stdin);
    if (interactive) tell(flags, `${model.info.folder}: /help lists the commands, Ctrl-D ends`);
    try {
      await new Chat(model, flags, interruptions, interactive).run(reader);
    } finally {
      reader.close();
    }
  } finally {
    await model.dispose();
  }
}

/** Loads the model; Ctrl-C ends the program meanwhile. */
async function load(flags: ChatFlags): Promise<DiffusionLM> {
  using interruption = new Interruption();
  return loadModel(flags, interruption.signal);
}

/** A running conversation. */
class Chat {
  readonly #conversation: Conversation;
  readonly #options: ChatOptions;
  readonly #draws: boolean;

  constructor(
    private readonly model: DiffusionLM,
    private readonly flags: ChatFlags,
    private readonly interruptions: Interruptions,
    private readonly interactive: boolean,
  ) {
    const sampling = samplingOf(flags);
    this.#conversation = new Conversation(flags.system);
    this.#options = { ...sampling, maxNewTokens: flags.maxNewTokens };
    this.#draws = draws(sampling, flags);
  }

  /** Takes turns until the user ends. */
  async run(reader: TurnReader): Promise<void> {
    for (;;) {
      const line = await reader.next(this.interruptions.signal);
      if (line === null) return;
      try {
        const turn = readTurn(line);
        if (turn.kind === 'command' && turn.name === 'quit') return;
        await this.#take(turn);
      } catch (error) {
        this.interruptions.signal.throwIfAborted();
        const told = explain(error);
        if (told === null) throw error;
        if (!this.interactive)
          throw error instanceof RND1Error ? error : new UsageError(told, { cause: error });
        process.stderr.write(`rnd1: ${printableMessage(told)}\n`);
      }
    }
  }

  async #take(turn: Turn): Promise<void> {
    if (turn.kind === 'message') return this.#answer(turn.text);
    if (turn.kind === 'nothing') return;
    const { name, argument } = turn;
    if (name === 'help') process.stdout.write(`${commandHelp}\n`);
    else if (name === 'reset') this.#conversation.reset();
    else if (name === 'system') this.#conversation.setSystem(argument);
    else if (name === 'save') {
      await this.#conversation.save(argument);
      tell(this.flags, `written: ${printableName(argument)}`);
    }
  }

  async #answer(question: string): Promise<void> {
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    const view = viewOf(this.model, this.flags, { text: true, answerOnly: true });
    let last: TextFrame | null = null;
    try {
      const result = await this.interruptions.during(async (signal) => {
        const options = { ...this.#options, initialFrame: true, signal };
        const frames = this.model.denoiseChat(this.#conversation.asking(question), options);
        for (;;) {
          const next = await frames.next();
          if (next.done) return next.value;
          last = next.value;
          view.show(last, seconds());
        }
      });
      view.close();
      this.#conversation.add(question, result.text);
      print(result.text);
      this.#report(result, seconds());
    } catch (error) {
      view.close();
      this.interruptions.signal.throwIfAborted();
      if (!(error instanceof Interrupted)) throw error;
      if (last !== null) print(writtenText(false).partial(last, view.positions, this.model));
      tell(this.flags, 'stopped: this question and its answer are forgotten');
    }
  }

  #report(result: TextResult, seconds: number): void {
    const { config } = this.model;
    const line = summary(result, seconds, this.#draws);
    if (this.flags.verbose) say(line);
    else tell(this.flags, line);
    const usual = config.generation.maxNewTokens ?? 256;
    const { maxPositions } = config.architecture;
    // The library gives a default answer the room that is left.
    if (this.flags.maxNewTokens === undefined && result.tokens.length === maxPositions) {
      const room = result.positions.length;
      if (room + 1 < usual) {
        note(
          this.flags,
          `only ${room} tokens were left for this answer: the conversation nears the ${maxPositions} of the model; /reset begins a new one`,
        );
      }
    }
  }
}

/** What to tell about an error after which the conversation goes on; null for all others. */
function explain(error: unknown): string | null {
  if (error instanceof UsageError) return error.message;
  if (error instanceof RangeError && error.message.includes('the model attends to')) {
    return `the conversation is too long: ${error.message}. /reset begins a new one`;
  }
  const codes = ['chat_template_failed', 'prompt_too_expensive', 'not_finite'];
  return error instanceof RND1Error && codes.includes(error.code) ? error.message : null;
}

/** Writes a note to standard error. */
function note({ quiet }: Pick<ChatFlags, 'quiet'>, text: string): void {
  if (!quiet) process.stderr.write(`rnd1: ${printableMessage(text)}\n`);
}

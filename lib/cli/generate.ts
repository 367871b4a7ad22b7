import type { Command } from 'commander';
import { Option } from 'commander';
import type { GenerateOptions, TokenOptions } from '../api/types';
import { integer, parseTokens, readText, readTextSource, readTokenText, UsageError } from './input';
import {
  addModelOptions,
  addOutputOptions,
  addSamplingOptions,
  addTokenOptions,
  draws,
  excludes,
  fileOption,
  type ModelFlags,
  type OutputFlags,
  outputHelp,
  requires,
  type SamplingFlags,
  samplingOf,
  schedulesHelp,
  specialFlags,
  specialOf,
  type TokenFlags,
} from './options';
import { run } from './run';
import { writtenText, writtenTokens } from './task';

interface GenerateFlags extends ModelFlags, SamplingFlags, OutputFlags, TokenFlags {
  readonly file?: string;
  readonly maxNewTokens?: number;
  readonly mode?: GenerateOptions['mode'];
  readonly addEos?: boolean;
  readonly reserveEnd?: boolean;
  readonly stopAtEos?: boolean;
}

const epilogue = `
Prompt:
  An argument, a file (--file), or standard input (\`-\`, or no argument when
  piped); the last newline of a file or of standard input is removed.
  In task mode the prompt gets the form that RND1 was trained on,
  "Question: {prompt}\\nAnswer:", and the space after "Answer:" is not printed.
  In chat mode it becomes the user's message in the checkpoint's chat template.
  The default is task for RND1 and the embedded model; chat for other models
  that have a chat template, completion for those that have none.
`;

const manual = `${epilogue}${schedulesHelp}${outputHelp}

Examples:
  $ rnd1 generate 'What is 47+38?'
  $ echo 'Sort z k m q' | rnd1 generate
  $ rnd1 generate --file question.txt
  $ rnd1 generate 'What is 47+38?' --schedule entropy-bounded=0.1 --verbose
  $ rnd1 generate 'Reverse lantern' --temperature 0.7 --top-p 0.9 --seed 7
  $ rnd1 generate 'Question: What is 3+4?' --mode completion --json
  $ rnd1 generate --tokens 81,117,101,115 --max-new-tokens 8 --steps 4`;

/** `rnd1 generate` */
export function addGenerate(program: Command): void {
  const command = program
    .command('generate')
    .summary('answer or continue a prompt')
    .description('Answers or continues a prompt.')
    .argument('[prompt]', 'the prompt; `-` reads standard input')
    .optionsGroup('Text:')
    .option(...fileOption)
    .option(
      '-n, --max-new-tokens <count>',
      'tokens after the prompt; of RND1 including one reserved slot at the end (default: from the checkpoint, else 256)',
      integer(0),
    )
    .addOption(
      new Option(
        '--mode <mode>',
        'task: answer a question; chat: answer a message; completion: continue the prompt (default: see Prompt)',
      ).choices(['task', 'chat', 'completion']),
    )
    .option('--add-eos', 'end with the EOS token, in the reserved slot')
    .option('--no-reserve-end', 'do not reserve a slot at the end, as RND1 does')
    .option('--stop-at-eos', 'stop once the text has ended (default without --tokens, and for causal models)')
    .option('--no-stop-at-eos', 'continue to the last position (default with --tokens)');
  // Commander's default of a `--no-` flag is true; undefined keeps the library's default.
  command.setOptionValue('reserveEnd', undefined).setOptionValue('stopAtEos', undefined);
  addTokenOptions(
    command,
    'prompt as token ids: 1,2,3, or @file, or - for standard input; prints the generated ids',
  );
  addSamplingOptions(command);
  addModelOptions(command);
  addOutputOptions(command);
  command.addHelpText('after', manual).action(generate);
}

async function generate(prompt: string | undefined, flags: GenerateFlags): Promise<void> {
  const { maxNewTokens, mode, addEos, reserveEnd, stopAtEos } = flags;
  if (addEos && reserveEnd === false)
    throw new UsageError('--add-eos and --no-reserve-end exclude each other');
  const sampling = samplingOf(flags);
  if (flags.tokens === undefined) {
    requires(flags, '--tokens', specialFlags);
    if (prompt !== undefined && flags.file !== undefined)
      throw new UsageError('a prompt and --file exclude each other');
    const text = await (flags.file === undefined ? readText(prompt, 'prompt') : readTextSource(flags.file));
    const options: GenerateOptions = { ...sampling, maxNewTokens, mode, addEos, reserveEnd, stopAtEos };
    const task = {
      ...writtenText(mode === undefined || mode === 'task'),
      draws: draws(sampling, flags),
      start: (model, running) => model.denoise(text, { ...options, ...running }),
    } satisfies Parameters<typeof run>[0];
    return run(task, flags);
  }
  if (prompt !== undefined) throw new UsageError('a prompt and --tokens exclude each other');
  excludes(flags, '--tokens', ['mode', 'file']);
  const tokens = parseTokens(await readTokenText(flags.tokens), false);
  const options: TokenOptions = {
    ...sampling,
    ...specialOf(flags),
    ...(tokens.length > 0 ? { prefix: tokens } : {}),
    maxNewTokens,
    addEos,
    reserveEnd,
    stopAtEos,
  };
  return run(
    {
      ...writtenTokens,
      draws: draws(sampling, flags),
      start: (model, running) => model.denoiseTokens({ ...options, ...running }),
    },
    flags,
  );
}

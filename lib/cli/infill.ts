import type { Command } from 'commander';
import type { TokenOptions } from '../types';
import { integer, parseTokens, readTokenText } from './input';
import {
  addModelOptions,
  addOutputOptions,
  addSamplingOptions,
  addTokenOptions,
  excludes,
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
import { wholeText, wholeTokens } from './task';

interface InfillFlags extends ModelFlags, SamplingFlags, OutputFlags, TokenFlags {
  readonly prefix?: string;
  readonly suffix?: string;
  readonly length: number;
  readonly suffixTokens?: string;
  readonly addEos?: boolean;
  readonly reserveEnd?: boolean;
}

const manual = `${schedulesHelp}${outputHelp}

Examples:
  $ rnd1 infill --prefix 'Question: What is 40+' --suffix $'?\\nAnswer: 42' --length 1
  $ rnd1 infill --prefix $'Question: Reverse window\\nAnswer: ' --suffix $'\\n' --length 6
  $ rnd1 infill --tokens 81,117,101 --suffix-tokens 105,111,110 --length 2`;

/** `rnd1 infill` */
export function addInfill(program: Command): void {
  const command = program
    .command('infill')
    .summary('write a number of tokens between two texts')
    .description(
      'Writes a number of tokens between two texts and prints it all. Neither may end the text: EOS and pad are never written.',
    )
    .optionsGroup('Text:')
    .option('--prefix <text>', 'what comes before')
    .option('--suffix <text>', 'what comes after')
    .requiredOption('-l, --length <count>', 'tokens to write, exactly', integer(1));
  addTokenOptions(command, 'ids before: 1,2,3, or @file, or - for standard input; prints all ids')
    .option('--suffix-tokens <ids>', 'ids after')
    .option('--add-eos', 'the reserved slot after them holds the end of the text instead of padding')
    .option('--no-reserve-end', 'no reserved slot');
  command.setOptionValue('reserveEnd', undefined);
  addSamplingOptions(command);
  addModelOptions(command);
  addOutputOptions(command);
  command.addHelpText('after', manual).action(infill);
}

async function infill(flags: InfillFlags): Promise<void> {
  const { prefix, suffix, length, addEos, reserveEnd } = flags;
  const sampling = samplingOf(flags);
  if (flags.tokens === undefined && flags.suffixTokens === undefined) {
    requires(flags, '--tokens', [...specialFlags, 'addEos', 'reserveEnd']);
    return run(
      {
        ...wholeText,
        start: (model, signal) => model.denoiseInfill({ prefix, suffix, length }, { ...sampling, signal }),
      },
      flags,
    );
  }
  excludes(flags, flags.tokens === undefined ? '--suffix-tokens' : '--tokens', ['prefix', 'suffix']);
  const read = async (text: string | undefined) =>
    text === undefined ? undefined : parseTokens(await readTokenText(text), false);
  const options: TokenOptions = {
    ...sampling,
    ...specialOf(flags),
    prefix: await read(flags.tokens),
    suffix: await read(flags.suffixTokens),
    length,
    addEos,
    reserveEnd,
  };
  return run(
    { ...wholeTokens, start: (model, signal) => model.denoiseTokens({ ...options, signal }) },
    flags,
  );
}

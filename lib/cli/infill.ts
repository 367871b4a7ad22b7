import type { Command } from 'commander';
import type { TokenOptions } from '../api/types';
import { integer, parseTokens, readTextSource, readTokenText, UsageError } from './input';
import {
  addModelOptions,
  addOutputOptions,
  addSamplingOptions,
  addTokenOptions,
  draws,
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
  readonly prefixFile?: string;
  readonly suffixFile?: string;
  readonly length: number;
  readonly suffixTokens?: string;
  readonly addEos?: boolean;
  readonly reserveEnd?: boolean;
}

const manual = `
Suffix:
  Models that write blocks (LLaDA2, SDAR) see of it what lies in the block of
  the last written token; if that is nothing, it is an error. Models with full
  attention see all of it.
${schedulesHelp}${outputHelp}

Examples:
  $ rnd1 infill --prefix 'Question: Reverse mo' --suffix $'n\\nAnswer: noom' -l 1
  $ rnd1 infill --prefix $'Question: Reverse window\\nAnswer: ' \\
      --suffix $'\\n' --length 6
  $ rnd1 infill --tokens 81,117,101 --suffix-tokens 105,111,110 --length 2`;

/** `rnd1 infill` */
export function addInfill(program: Command): void {
  const command = program
    .command('infill')
    .summary('write a number of tokens between two texts')
    .description(
      'Writes a number of tokens between two texts and prints the whole text. EOS and pad are never written.',
    )
    .optionsGroup('Text:')
    .option('--prefix <text>', 'text before the written tokens')
    .option('--suffix <text>', 'text after the written tokens')
    .option('--prefix-file <path>', 'file with the text before; `-` is standard input')
    .option('--suffix-file <path>', 'file with the text after; `-` is standard input')
    .requiredOption('-l, --length <count>', 'exact number of tokens to write (required)', integer(1));
  addTokenOptions(command, 'token ids before: 1,2,3, or @file, or - for standard input; prints all ids')
    .option('--suffix-tokens <ids>', 'token ids after')
    .option('--add-eos', 'end with the EOS token, in the reserved slot after them')
    .option('--no-reserve-end', 'do not reserve a slot at the end, as RND1 does');
  command.setOptionValue('reserveEnd', undefined);
  addSamplingOptions(command);
  addModelOptions(command);
  addOutputOptions(command);
  command.addHelpText('after', manual).action(infill);
}

async function infill(flags: InfillFlags): Promise<void> {
  const { length, addEos, reserveEnd } = flags;
  if (addEos && reserveEnd === false)
    throw new UsageError('--add-eos and --no-reserve-end exclude each other');
  const sampling = samplingOf(flags);
  if (flags.tokens === undefined && flags.suffixTokens === undefined) {
    requires(flags, '--tokens', [...specialFlags, 'addEos', 'reserveEnd']);
    const input = { ...(await readTexts(flags)), length };
    return run(
      {
        ...wholeText,
        draws: draws(sampling, flags),
        start: (model, running) => model.denoiseInfill(input, { ...sampling, ...running }),
      },
      flags,
    );
  }
  excludes(flags, flags.tokens === undefined ? '--suffix-tokens' : '--tokens', [
    'prefix',
    'suffix',
    'prefixFile',
    'suffixFile',
  ]);
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
    {
      ...wholeTokens,
      draws: draws(sampling, flags),
      start: (model, running) => model.denoiseTokens({ ...options, ...running }),
    },
    flags,
  );
}

/** Prefix and suffix, from flags or files. */
async function readTexts(flags: InfillFlags): Promise<{ prefix?: string; suffix?: string }> {
  const { prefix, suffix, prefixFile, suffixFile } = flags;
  if (prefixFile !== undefined) excludes(flags, '--prefix-file', ['prefix']);
  if (suffixFile !== undefined) excludes(flags, '--suffix-file', ['suffix']);
  if (prefixFile === '-' && suffixFile === '-')
    throw new UsageError('--prefix-file and --suffix-file cannot both be standard input');
  return {
    prefix: prefixFile === undefined ? prefix : await readTextSource(prefixFile),
    suffix: suffixFile === undefined ? suffix : await readTextSource(suffixFile),
  };
}

import type { Command } from 'commander';
import { isCausal } from '../families/traits';
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
import { wholeText, wholeTokens } from './task';

interface FillFlags extends ModelFlags, SamplingFlags, OutputFlags, TokenFlags {
  readonly file?: string;
  readonly hole?: string;
  readonly tokensPerHole?: number;
}

const manual = `${schedulesHelp}${outputHelp}

Examples:
  $ rnd1 fill $'Question: Reverse di_mo_d\\nAnswer: dnomaid' \\
      --hole _ --tokens-per-hole 1
  $ rnd1 fill --file puzzle.txt --hole . --tokens-per-hole 1
  $ rnd1 fill --tokens 81,117,_,_,116 --json`;

/** `rnd1 fill` */
export function addFill(program: Command): void {
  const command = program
    .command('fill')
    .summary('fill the holes of a text')
    .description(
      'Fills the holes of a text, wherever they are, and prints the whole text. EOS and pad are never written.',
    )
    .argument('[text]', 'text with holes; `-`, or nothing when piped, reads standard input')
    .optionsGroup('Text:')
    .option(...fileOption)
    .option('--hole <mark>', 'marker of a hole (default: ___)')
    .option('--tokens-per-hole <count>', 'tokens to write into each hole (default: 4)', integer(1));
  addTokenOptions(
    command,
    'canvas as token ids, _ for each hole: 1,_,_,4, or @file, or - for standard input; prints all ids',
  );
  addSamplingOptions(command);
  addModelOptions(command);
  addOutputOptions(command);
  command.addHelpText('after', manual).action(fill);
}

async function fill(text: string | undefined, flags: FillFlags): Promise<void> {
  const { hole, tokensPerHole } = flags;
  const sampling = samplingOf(flags);
  if (flags.tokens === undefined) {
    requires(flags, '--tokens', specialFlags);
    if (text !== undefined && flags.file !== undefined)
      throw new UsageError('a text and --file exclude each other');
    const template = await (flags.file === undefined ? readText(text, 'text') : readTextSource(flags.file));
    const options = { ...sampling, hole, tokensPerHole };
    return run(
      {
        ...wholeText,
        draws: draws(sampling, flags),
        start: (model, running) => model.denoiseFill(template, { ...options, ...running }),
      },
      flags,
    );
  }
  if (text !== undefined) throw new UsageError('a text and --tokens exclude each other');
  excludes(flags, '--tokens', ['file', 'hole', 'tokensPerHole']);
  const pieces = parseTokens(await readTokenText(flags.tokens), true);
  const masked = [...pieces.keys()].filter((position) => pieces[position] === null);
  if (masked.length === 0) throw new UsageError(`--tokens ${flags.tokens} has no hole: write _ for each`);
  const special = specialOf(flags);
  return run(
    {
      ...wholeTokens,
      draws: draws(sampling, flags),
      start(model, running) {
        // A causal model needs none: the library says what it can do.
        const unwritten = isCausal(model.config.architecture) ? 0 : null;
        const mask = special.maskTokenId ?? model.config.tokens.maskTokenId ?? unwritten;
        if (mask === null) {
          throw new UsageError('--mask-token-id is needed: the checkpoint names no mask token');
        }
        const canvas = pieces.map((id) => id ?? mask);
        return model.denoiseTokens({ ...sampling, ...special, canvas, masked, ...running });
      },
    },
    flags,
  );
}

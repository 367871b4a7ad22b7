import { Command } from 'commander';
import { printableMessage } from '../support/printable';
import { addBatch } from './batch';
import { addBench } from './bench';
import { addChat } from './chat';
import { addCompletion } from './completion';
import { addConvert } from './convert';
import { addDownload } from './download';
import { addEval } from './eval';
import { addFill } from './fill';
import { addGenerate } from './generate';
import { addInfill } from './infill';
import { addInit } from './init';
import { addInspect } from './inspect';
import { addList } from './list';
import { addPlot } from './plot';
import { addQuantize } from './quantize';
import { addRemove } from './remove';
import { addServe } from './serve';
import { addTokenize } from './tokenize';
import { addTrain } from './train';
import { addWorker } from './worker';

const { version } = require('../../package.json') as { version: string };

const overview = `
Without --model, the embedded nano model is used: a demonstration model for sums
below 100, sorting and reversing letters, and small Sudokus. RND1 itself has 30B
parameters (61 GB of bf16): --model radicalnumerics/RND1-Base-0910 fetches it
from the Hugging Face hub the first time. --model also takes the folder of a
checkpoint. \`rnd1 quantize\` reduces RND1 to 18 GB, for machines with 24 GB of
memory.

Examples:
  $ rnd1 generate 'What is 47+38?'
  $ echo 'Reverse lantern' | rnd1 generate
  $ rnd1 fill $'Question: Reverse di_mo_d\\nAnswer: dnomaid' \\
      --hole _ --tokens-per-hole 1
  $ rnd1 inspect --json

\`rnd1 help <command>\` prints the manual of a command. In a checkout of the
project, rnd1 is ./rnd1; installed as a dependency, it is npx --no -- rnd1.`;

/** The command line of `rnd1`. It throws errors and never exits the process. */
export function createProgram(): Command {
  // Commands inherit the settings that are made before they are added.
  const program = new Command('rnd1')
    .description(
      'Generates text with masked-diffusion language models: predicts all masked positions at once, unmasks them step by step.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this manual')
    .helpCommand('help [command]', 'print the manual of a command')
    .addHelpText('after', overview)
    .configureOutput({
      outputError: (text, write) => {
        write(
          printableMessage(text)
            .replace(/^error: /, 'rnd1: ')
            .replace(/\n$/, `${hintFor(text)}\n`),
        );
      },
    })
    .showHelpAfterError('See `rnd1 help` or `rnd1 help <command>`.')
    .showSuggestionAfterError()
    .exitOverride();
  const commands = [
    addGenerate,
    addChat,
    addInfill,
    addFill,
    addServe,
    addBatch,
    addWorker,
    addInspect,
    addBench,
    addDownload,
    addList,
    addRemove,
    addQuantize,
    addInit,
    addConvert,
    addTokenize,
    addTrain,
    addPlot,
    addEval,
  ];
  for (const add of [...commands, addCompletion]) add(program);
  return program;
}

/** Hint after an error for which Commander has no suggestion, or an empty string. */
function hintFor(message: string): string {
  if (/too many arguments for '(generate|fill)'/.test(message))
    return ' A text of several words needs quotes.';
  if (/unknown (option '-v'|command 'version')/.test(message)) return '; did you mean --version?';
  const camel = /unknown option '--([a-z]+(?:[A-Z][a-z]+)+)/.exec(message)?.[1];
  if (camel !== undefined && !message.includes('Did you mean'))
    return `; did you mean --${camel.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}?`;
  return /unknown option '-[^-A-Za-z]/.test(message) ? '; put a text that begins with a hyphen after --' : '';
}

#!/usr/bin/env node
import { CommanderError } from 'commander';
import { printableMessage } from '../support/printable';
import { nearest } from '../support/validate';
import { showsStackTraces } from './environment';
import { UsageError } from './input';
import { Interrupted } from './interrupt';
import { optionName } from './options';
import { createProgram } from './program';

const done = 0;
const failure = 1;
const wrongUsage = 2;

/** Runs a command line and returns the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  try {
    const program = createProgram();
    const [, , first, topic] = argv;
    const names = program.commands.map((command) => command.name());
    if (
      first === 'help' &&
      topic !== undefined &&
      !topic.startsWith('-') &&
      ![...names, 'help'].includes(topic)
    ) {
      const meant = nearest(topic, names);
      throw new UsageError(
        `there is no command '${topic}'${meant === null ? '' : `; did you mean ${meant}?`}`,
      );
    }
    // Commander knows no manual of its own command.
    const ofHelp = first === 'help' && topic === 'help';
    await program.parseAsync(ofHelp ? argv.slice(0, 3) : (argv as string[]));
    return done;
  } catch (error) {
    // Commander has already printed its message or the requested help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? done : wrongUsage;
    if (error instanceof Interrupted) return error.exitCode;
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`rnd1: ${printableMessage(asOptions(message))}\n`);
    if (showsStackTraces() && error instanceof Error) {
      process.stderr.write(`${printableMessage(String(error.stack))}\n`);
    }
    const wrong = error instanceof UsageError || error instanceof TypeError || error instanceof RangeError;
    return wrong ? wrongUsage : failure;
  }
}

/** Replaces the library's option names by flags: `maxNewTokens` becomes `--max-new-tokens`. */
function asOptions(message: string): string {
  const names =
    /\b(maxNewTokens|topK|topP|algTemp|cfgScale|suppressEos|zeroEosConfidence|tokensPerHole|cacheDir|addEos|reserveEnd|stopAtEos|(mask|eos|pad|bos)TokenId|sequenceLength|microBatch|tokenBytes|timeSampling|complementaryMasks|minTime|randomLength|padLoss|auxCoef|auxScope|zCoef|noiseScale|allowChanged|save(Every|Limit|Dtype|OnlyModel)|logEvery)\b/g;
  return message.replace(names, optionName);
}

// The reader may close the pipe early, as `head` does: not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(done);
  process.stderr.write(`rnd1: cannot write: ${error.message}\n`);
  process.exit(failure);
});
process.stderr.on('error', () => {});

main(process.argv).then((code) => {
  process.exitCode = code;
});

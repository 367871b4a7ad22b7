#!/usr/bin/env node
import { CommanderError } from 'commander';
import { UsageError } from './input';
import { Interrupted } from './interrupt';
import { createProgram } from './program';

const done = 0;
const failure = 1;
const wrongUsage = 2;

/** Runs a command line and returns the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(argv as string[]);
    return done;
  } catch (error) {
    // Commander has printed its message, or the help that was asked for, already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? done : wrongUsage;
    if (error instanceof Interrupted) return error.exitCode;
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`rnd1: ${message}\n`);
    if (process.env.RND1_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    const wrong = error instanceof UsageError || error instanceof TypeError || error instanceof RangeError;
    return wrong ? wrongUsage : failure;
  }
}

// Whoever reads the output may stop reading, as `head` does: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? done : failure);
});
process.stderr.on('error', () => {});

main(process.argv).then((code) => {
  process.exitCode = code;
});

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { RND1Error } from '../../../lib/support/errors';

/** One thing that is fed with what nobody would write. */
export interface Target {
  readonly name: string;
  /** How many inputs a test tries; a long run goes on until its time is over. */
  readonly runs: number;
  /** Opens what is tried; `try` throws where an input is taken wrongly. */
  open(): Promise<Trial>;
}

export interface Trial {
  readonly inputs: fc.Arbitrary<unknown>;
  try(input: unknown): Promise<void>;
  close(): Promise<void>;
}

/** A target whose inputs have a type. */
export function target<T>(
  name: string,
  runs: number,
  open: () => Promise<{
    readonly inputs: fc.Arbitrary<T>;
    readonly try: (input: T) => void | Promise<void>;
    readonly close?: () => void | Promise<void>;
  }>,
): Target {
  return {
    name,
    runs,
    async open() {
      const trial = await open();
      return {
        inputs: trial.inputs,
        try: async (input) => trial.try(input as T),
        close: async () => trial.close?.(),
      };
    },
  };
}

/** What `run` gives, or null where it refuses its input as it should; every other error is a finding. */
export async function unlessRefused<T>(run: () => T | Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof RND1Error)) throw error;
    if (error.message.length > 20_000) throw new Error(`a message of ${error.message.length} characters`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal would obey is looked for
    if (/[\x00-\x08\x0b-\x1f\x7f-\x9f]/.test(error.message))
      throw new Error(`control characters in the message ${JSON.stringify(error.message)}`);
    return null;
  }
}

/** Inputs that were findings once, or are worth trying each time: corpus/NAME.json. */
function kept(name: string): readonly unknown[] {
  const file = join(__dirname, 'corpus', `${name.replaceAll(' ', '-')}.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
}

export interface Finding {
  readonly target: string;
  /** Gives the same inputs again. */
  readonly seed: number;
  readonly runs: number;
  /** The smallest input that still shows it. */
  readonly input: unknown;
  readonly error: unknown;
}

/** Tries inputs until there are enough or `end` is over, and shrinks the first that is taken wrongly. */
export async function fuzz(
  { name, open }: Target,
  { seed, runs, end = Number.POSITIVE_INFINITY, before }: FuzzOptions,
): Promise<{ readonly runs: number; readonly finding: Finding | null }> {
  const trial = await open();
  try {
    const property = fc.asyncProperty(trial.inputs, async (input) => {
      before?.(input);
      await trial.try(input);
    });
    const left = end - performance.now();
    const details = await fc.check(property, {
      seed,
      numRuns: runs,
      examples: kept(name).map((input) => [input] as [unknown]),
      ...(Number.isFinite(left) ? { interruptAfterTimeLimit: Math.max(1, left) } : {}),
    });
    if (!details.failed || details.counterexample === null) return { runs: details.numRuns, finding: null };
    const [input] = details.counterexample as [unknown];
    const finding = { target: name, seed, runs: details.numRuns, input, error: details.errorInstance };
    return { runs: details.numRuns, finding };
  } finally {
    await trial.close();
  }
}

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  /** By `performance.now()`. */
  readonly end?: number;
  /** Is told of each input before it is tried. */
  readonly before?: (input: unknown) => void;
}

import { BuildError, say } from '../../scripts/command';

/** Runs a script; errors meant for the user are printed without a stack. */
export function runMain(main: () => Promise<void> | void): void {
  Promise.resolve()
    .then(main)
    .catch((error: unknown) => {
      say(plain(error) ? (error as Error).message : String((error as Error)?.stack ?? error));
      process.exitCode = 1;
    });
}

function plain(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  const wrongOption = typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS');
  return wrongOption || error instanceof BuildError || error instanceof RangeError;
}

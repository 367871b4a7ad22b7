import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { RND1Error } from '../support/errors';
import { quote } from '../support/validate';
import type { Peer } from './measure';
import { median } from './rates';

const execute = promisify(execFile);

/** The fields of llama-bench's JSON that are read; tools/llama-bench/README.md of llama.cpp has all. */
interface LlamaResult {
  readonly n_prompt?: number;
  readonly n_gen?: number;
  readonly samples_ns?: readonly number[];
  readonly avg_ns?: number;
}

/**
 * llama.cpp's `llama-bench` as a peer: one pass over a prompt of random tokens, of which it computes the logits of the
 * last. `file` is a GGUF file.
 */
export class LlamaBench implements Peer {
  readonly name = 'llama-bench';

  constructor(
    private readonly program: string,
    private readonly file: string,
    private readonly settings: { readonly threads: number; readonly device: string },
  ) {}

  /** @throws RND1Error `io` if the program cannot be started, fails, or prints something else */
  async run(length: number, signal?: AbortSignal): Promise<number> {
    const { threads, device } = this.settings;
    const size = String(Math.max(length, 512));
    const args = [
      ...['-m', this.file, '-p', String(length), '-n', '0', '-r', '1', '-t', String(threads), '-o', 'json'],
      // One batch, as here.
      ...['-b', size, '-ub', size],
      ...(device === 'cpu' ? ['-ngl', '0'] : []),
    ];
    const { stdout } = await execute(this.program, args, { signal, maxBuffer: 1 << 24 }).catch((error) => {
      signal?.throwIfAborted();
      throw new RND1Error('io', `${this.program}: ${reasonOf(error)}`, { cause: error });
    });
    const seconds = secondsOf(stdout, length);
    if (seconds === null) {
      throw new RND1Error(
        'io',
        `${this.program} printed no result for a prompt of ${length} tokens: ${quote(stdout)}`,
      );
    }
    return seconds;
  }
}

/** The last line that a failed program printed to its standard error, or why it could not be started. */
function reasonOf(error: Error & { stderr?: string; code?: unknown }): string {
  if (error.code === 'ENOENT') return 'there is no such program';
  return error.stderr?.trim().split('\n').at(-1) || error.message;
}

function secondsOf(stdout: string, length: number): number | null {
  let results: unknown;
  try {
    results = JSON.parse(stdout);
  } catch {
    return null;
  }
  if (!Array.isArray(results)) return null;
  const found = (results as LlamaResult[]).find((one) => one?.n_prompt === length && !one.n_gen);
  const seconds = median(found?.samples_ns ?? [Number(found?.avg_ns)]) / 1e9;
  return seconds > 0 ? seconds : null;
}

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Peer } from '../../lib/bench/measure';
import { BuildError } from '../../scripts/command';

/** llama.cpp's names of the weight types. */
const types: Readonly<Record<string, string>> = { bf16: 'bf16', f16: 'f16', q8: 'q8_0', q4: 'q4_0' };

/** One output line of the harness. */
interface Line {
  readonly L: number;
  readonly median_s: number;
}

/**
 * A harness that times whole forward passes of llama.cpp with all logits. `folder` holds `bin/llama_forward`, which
 * takes `-m FILE -L LENGTH -n RUNS -w WARMUPS -t THREADS --backend-dir DIR` and prints a JSON object with `L` and
 * `median_s`, `libs`, and the checkpoint as GGUF, `NAME-bf16.gguf`, `NAME-q8_0.gguf`, `NAME-q4_0.gguf`.
 */
export class LlamaHarness implements Peer {
  readonly name = 'llama.cpp';
  private readonly file: string;

  constructor(
    private readonly folder: string,
    model: string,
    dtype: string,
    private readonly threads: number,
  ) {
    const type = types[dtype];
    if (!type) throw new RangeError(`llama.cpp has no weights like '${dtype}'`);
    this.file = join(folder, `${basename(model)}-${type}.gguf`);
    if (!existsSync(this.file)) throw new RangeError(`${this.file} does not exist`);
  }

  /** Seconds of one forward pass, after a warm-up. */
  async run(length: number): Promise<number> {
    const args = ['-m', this.file, '-L', String(length), '-n', '1', '-w', '1', '-t', String(this.threads)];
    const program = join(this.folder, 'bin', 'llama_forward');
    const { status, stdout, error } = spawnSync(
      program,
      [...args, '--backend-dir', join(this.folder, 'libs')],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const line = stdout?.split('\n').find((text) => text.startsWith('{'));
    if (status !== 0 || !line) throw new BuildError(`${program} failed (${error?.message ?? status}).`);
    return (JSON.parse(line) as Line).median_s;
  }
}

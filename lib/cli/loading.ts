import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { isGgufPath } from '../checkpoint/checkpoint-files';
import { isRepository } from '../hub/repository';
import { DiffusionLM, type LoadProgress } from '../index';
import { firstThatHolds } from '../runtime/device';
import { formatBytes } from '../support/format-bytes';
import { printableName } from '../support/printable';
import { hubOf, type ModelFlags } from './options';
import { LoadingBar } from './progress';

/** Flags that `loadModel` reads. */
export type LoadFlags = ModelFlags & {
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly maxRowsPerStep?: number;
  readonly promptTimeout?: number;
};

/** Loads a model and shows a progress bar. */
export async function loadModel(flags: LoadFlags, signal: AbortSignal): Promise<DiffusionLM> {
  const { model: place, device, dtype, mmap, maxRowsPerStep, maxCacheBytes, promptTimeout } = flags;
  const loading = flags.quiet ? null : new LoadingBar(process.stderr);
  const times = new LoadTimes();
  const fromHub = place !== undefined && isOnHub(place);
  if (place !== undefined) loading?.begin(`${fromHub ? 'looking up' : 'reading'} ${printableName(place)}`);
  try {
    const model = await DiffusionLM.load({
      ...hubOf(flags),
      model: place,
      device,
      dtype,
      threads: cappedThreads(flags.threads),
      mmap,
      maxRowsPerStep,
      maxCacheBytes,
      promptTimeout,
      signal,
      onProgress(progress) {
        times.update(progress);
        loading?.update(progress);
      },
    });
    loading?.close();
    if (!flags.quiet) warnOf(model.info.warnings);
    if (flags.verbose) for (const line of describeLoad(model, flags, times)) say(line);
    return model;
  } finally {
    loading?.close();
  }
}

/** Whether `place` is a name on the hub and not an existing path. */
export const isOnHub = (place: string) => !existsSync(place) && isRepository(place);

/** Source of a model, for `--verbose`. */
export const sourceOf = (place: string | undefined) =>
  place === undefined
    ? 'the embedded model'
    : isOnHub(place)
      ? `the hub's ${place}`
      : isGgufPath(place)
        ? 'a GGUF file'
        : 'a folder';

/** Limits `threads` to those that this process may run at once, with a warning: more threads only slow each other down. */
export function cappedThreads(threads: number | undefined): number | undefined {
  const cores = availableParallelism();
  if (threads === undefined || threads <= cores) return threads;
  process.stderr.write(
    `rnd1: warning: --threads ${threads} is more than this machine has cores: using ${cores}\n`,
  );
  return cores;
}

/** Prints the contradictions in a checkpoint as warnings. */
export function warnOf(warnings: readonly string[]): void {
  for (const warning of warnings) process.stderr.write(`rnd1: warning: ${warning}\n`);
}

/** Prints a line of `--verbose`. */
export function say(text: string): void {
  process.stderr.write(`rnd1: ${printableName(text)}\n`);
}

/** Formats the time between two values of `performance.now()`. */
export const seconds = (from: number, to = performance.now()) => `${((to - from) / 1000).toFixed(2)} s`;

/** Durations of the phases of a load. */
class LoadTimes {
  readonly #start = performance.now();
  #downloaded: number | null = null;
  #weights: number | null = null;

  update({ download }: LoadProgress): void {
    if (download !== undefined) this.#downloaded = performance.now();
    else this.#weights ??= performance.now();
  }

  /** `download 61.20 s, configuration and tokenizer 0.31 s, weights 12.01 s`; call it when the load ends. */
  describe(): string {
    const end = performance.now();
    const fetched = this.#downloaded ?? this.#start;
    const read = this.#weights ?? end;
    return [
      ...(this.#downloaded === null ? [] : [`download ${seconds(this.#start, fetched)}`]),
      `configuration and tokenizer ${seconds(fetched, read)}`,
      `weights ${seconds(read, end)}`,
    ].join(', ');
  }
}

/** The lines of `--verbose`: source of the model, device, reason, and times. */
function describeLoad({ info, tokenizer }: DiffusionLM, flags: LoadFlags, times: LoadTimes): string[] {
  const { model: place, device, mmap } = flags;
  const why =
    device !== undefined && device !== 'auto'
      ? `--device ${device} asks for it`
      : (info.deviceReason ?? firstThatHolds);
  const weights = `${formatBytes(info.weightBytes)}, ${info.weightDtype}`;
  const how = info.mapped ? 'read in place from the mapped files' : 'copied';
  const because =
    mmap !== undefined
      ? mmap
        ? ', as --mmap asks'
        : ', as --no-mmap asks'
      : info.device === 'cpu' && !info.weightDtype.startsWith('q')
        ? `: they take ${info.mapped ? 'more than' : 'at most'} half of the free memory`
        : '';
  return [
    `model: ${info.folder} (${sourceOf(place)})`,
    `tokenizer: ${tokenizer === null ? 'none, only token ids can be used' : 'tokenizer.json'}`,
    `device: ${info.device} (${info.instructionSet}), ${info.threads} threads, compute dtype ${info.dtype}`,
    `why there: ${why}`,
    `weights: ${weights}, ${how}${because}`,
    `loading: ${times.describe()}`,
  ];
}

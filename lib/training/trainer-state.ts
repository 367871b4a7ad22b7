import { basename, join } from 'node:path';
import { fileSize, readExactly, readJsonObject, withFile } from '../checkpoint/files';
import { readHeader } from '../checkpoint/safetensors';
import { RND1Error } from '../support/errors';
import { sha256Of } from './hash-file';
import type { Moments } from './trainer-types';

/** The file with all that is neither a weight nor a moment. */
export const stateFile = 'trainer_state.json';

/** Size and SHA-256 of a file, by which damage is noticed. */
export interface FileSummary {
  readonly size: number;
  readonly sha256: string;
}

/** The optimizer's state in a folder that `saveTrainer` wrote. */
export interface SavedState {
  /** Steps that were applied. */
  readonly steps: number;
  /** `SaveOptions.state` of the one who saved; empty if there was none. */
  readonly state: Readonly<Record<string, unknown>>;
  /** Passes the moments of the named tensors on; throws `invalid_checkpoint` if some are missing or misshapen. */
  restore(
    names: readonly string[],
    setMoments: (name: string, moments: Moments) => Promise<void>,
    setParameter: (name: string, values: Float32Array) => Promise<void>,
  ): Promise<void>;
}

/** Throws `invalid_checkpoint` if the folder has none, or if a file is not what was saved. */
export async function readState(folder: string): Promise<SavedState> {
  const path = join(folder, stateFile);
  const state = await readJsonObject(path);
  if (state === null)
    throw new RND1Error('invalid_checkpoint', `${path} is missing: there is nothing to resume`);
  const { format, global_step: steps, optimizer_files: names, files = {}, state: own = {} } = state;
  const valid =
    format === 1 &&
    Number.isSafeInteger(steps) &&
    (steps as number) >= 0 &&
    Array.isArray(names) &&
    names.every(isFileName) &&
    isObject(files) &&
    Object.keys(files).every(isFileName) &&
    isObject(own);
  if (!valid) throw new RND1Error('invalid_checkpoint', `${path} is not the state of a trainer`);
  for (const [name, summary] of Object.entries(files as Record<string, Partial<FileSummary>>))
    await verify(join(folder, name), summary);
  const places = await placesOf(folder, names as string[]);
  const read = async (name: string): Promise<Float32Array> => {
    const place = places.get(name);
    if (place === undefined) throw new RND1Error('invalid_checkpoint', `${path}: ${name} is missing, in F32`);
    const bytes = await withFile(place.path, (handle) =>
      readExactly(handle, place.path, place.offset, place.bytes),
    );
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  };
  return {
    steps: steps as number,
    state: own as Record<string, unknown>,
    async restore(tensors, setMoments, setParameter) {
      for (const name of tensors) {
        await setMoments(name, {
          first: await read(`${name}.exp_avg`),
          second: await read(`${name}.exp_avg_sq`),
        });
        if (places.has(`${name}.master`)) await setParameter(name, await read(`${name}.master`));
      }
    },
  };
}

interface Place {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/** Where the tensors of the optimizer's files are. */
async function placesOf(folder: string, names: readonly string[]): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  for (const name of names) {
    const path = join(folder, name);
    const { tensors } = await readHeader(path);
    for (const { name: tensor, dtype, offset, bytes } of tensors)
      if (dtype === 'F32') places.set(tensor, { path, offset, bytes });
  }
  return places;
}

async function verify(path: string, { size, sha256 }: Partial<FileSummary>): Promise<void> {
  const found = await fileSize(path);
  const damaged = (what: string) =>
    new RND1Error('invalid_checkpoint', `${path} is not as it was saved: ${what}`);
  if (found === null) throw damaged('it is missing');
  if (found !== size) throw damaged(`it has ${found} bytes instead of ${size}`);
  if ((await sha256Of(path)).toString('hex') !== sha256) throw damaged('its SHA-256 differs');
}

function isFileName(name: unknown): boolean {
  return typeof name === 'string' && name !== '' && basename(name) === name;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import { RND1Error } from '../../support/errors';
import { quote, shapeText } from '../format';
import type { Manifest, ManifestTensor } from '../manifest';
import type { GgufHeader, GgufTensor } from './header';
import { expertNames, ggufNames } from './names';

/** A file of a GGUF checkpoint; there are several if it is split. */
export interface GgufFile {
  readonly path: string;
  readonly header: GgufHeader;
}

/**
 * The manifest of GGUF files: stacks of experts are listed expert by expert.
 *
 * @param headRows rows of a head if those of queries and keys are in the order of rotated pairs; 0: they are not
 * @throws RND1Error `invalid_checkpoint` for a tensor that is in two files, and for stacks that are none
 */
export function ggufManifest(place: string, files: readonly GgufFile[], headRows: number): Manifest {
  const tensors = new Map<string, ManifestTensor>();
  for (const [file, { path, header }] of files.entries()) {
    for (const stored of header.tensors) {
      for (const tensor of expertsOf(stored, path)) {
        const twin = tensors.get(tensor.name);
        if (twin !== undefined) {
          throw new RND1Error(
            'invalid_checkpoint',
            `tensor ${quote(tensor.name)} is in two files: ${files[twin.file]?.path} and ${path}`,
          );
        }
        const paired = headRows > 0 && /^blk\.\d+\.attn_[qk]\.weight$/.test(tensor.name);
        tensors.set(tensor.name, { ...tensor, file, ...(paired && { headRows }) });
      }
    }
  }
  const metadata = new Map<string, string>();
  for (const [key, value] of files[0]?.header.metadata ?? []) {
    // Lists, which are the vocabulary, and chat templates would fill pages.
    const text = String(value);
    if (!Array.isArray(value) && text.length <= 1000) metadata.set(key, text);
  }
  return {
    folder: place,
    files: files.map(({ path }) => path),
    fileBytes: files.map(({ header }) => header.fileBytes),
    tensors,
    metadata,
    names: ggufNames,
    warnings: [],
  };
}

/** The experts of a stack, or the tensor itself. */
function expertsOf(stored: GgufTensor, path: string): readonly GgufTensor[] {
  const nameOf = expertNames(stored.name);
  if (nameOf === null) return [stored];
  const [experts, ...shape] = stored.shape;
  if (stored.shape.length !== 3 || experts === undefined || experts > 4096) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${path}: tensor ${quote(stored.name)} has shape ${shapeText(stored.shape)}, expected [experts, rows, columns] with at most 4096 experts`,
    );
  }
  const bytes = stored.bytes / experts;
  return Array.from({ length: experts }, (_, expert) => ({
    name: nameOf(expert),
    dtype: stored.dtype,
    shape,
    offset: stored.offset + expert * bytes,
    bytes,
  }));
}

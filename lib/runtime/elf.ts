import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** ELF's `e_machine` by `process.arch`. */
const machines: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

/**
 * Why a Linux shared library cannot be loaded, if the loader would crash the process or report something misleading;
 * otherwise null. Only its header is read.
 */
export function libraryProblem(path: string, arch: string = process.arch): string | null {
  const header = Buffer.alloc(64);
  const file = openSync(path, 'r');
  let size: number;
  try {
    size = fstatSync(file).size;
    if (readSync(file, header, 0, 64, 0) < 64) return null;
  } finally {
    closeSync(file);
  }
  // Only 64-bit little-endian ELF is checked; the loader's own error is clear for anything else.
  if (header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2 || header[5] !== 1) return null;
  if (machines[arch] !== undefined && header.readUInt16LE(18) !== machines[arch])
    return `it is for another kind of processor than ${arch}`;
  // The section header table is the last part of the file.
  const needed = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60);
  return size < needed ? `it is cut short: it has ${size} of ${needed} bytes` : null;
}

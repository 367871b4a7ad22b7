import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** `e_machine` of what Node.js calls `process.arch`. */
const machines: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

/**
 * Why a shared library of Linux cannot be loaded, where the loader would end the process or say something else; null where
 * nothing is known against it. Only its header is read.
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
  // Of 64 bits, little-endian; whatever else it is, the loader has words for it.
  if (header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2 || header[5] !== 1) return null;
  if (machines[arch] !== undefined && header.readUInt16LE(18) !== machines[arch])
    return `it is for another kind of processor than ${arch}`;
  // The table of sections comes last.
  const needed = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60);
  return size < needed ? `it is cut short: it has ${size} of ${needed} bytes` : null;
}

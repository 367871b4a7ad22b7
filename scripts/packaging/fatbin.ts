/** The GPU code that nvcc has put into a program. */
export interface GpuCode {
  /** Machine code, `sm_90a`. */
  readonly architectures: readonly string[];
  /** Intermediate code, `compute_80`, which a driver compiles for any newer GPU. */
  readonly ptx: readonly string[];
}

// A fat binary: magic, length of its header (2 bytes at 6), length of what follows (8 bytes at 8), then entries. An
// entry: kind (2 bytes at 0), length of its header (4 at 4) and of what follows (8 at 8), processor (4 at 28), flags
// (8 at 40). This is the format of nvcc 13; NVIDIA does not document it, so the tests read freshly compiled files.
const magic = 0xba55ed50;
const kinds = { ptx: 1, machineCode: 2 };
const architectureSpecific = 1n << 20n;

/** Reads the section `.nv_fatbin`: consecutive fat binaries, one for each CUDA source, padded to 8 bytes. */
export function readFatBinaries(section: Buffer): GpuCode {
  const architectures = new Set<string>();
  const ptx = new Set<string>();
  let at = 0;
  while (at + 16 <= section.length) {
    if (section.readUInt32LE(at) !== magic) {
      at += 8;
      continue;
    }
    let entry = at + section.readUInt16LE(at + 6);
    const end = entry + Number(section.readBigUInt64LE(at + 8));
    if (end > section.length) throw new Error('a fat binary is cut short');
    while (entry < end) {
      const kind = section.readUInt16LE(entry);
      const suffix = section.readBigUInt64LE(entry + 40) & architectureSpecific ? 'a' : '';
      const processor = `${section.readUInt32LE(entry + 28)}${suffix}`;
      if (kind === kinds.ptx) ptx.add(`compute_${processor}`);
      else if (kind === kinds.machineCode) architectures.add(`sm_${processor}`);
      else throw new Error(`a fat binary has an entry of the unknown kind ${kind}`);
      entry += section.readUInt32LE(entry + 4) + Number(section.readBigUInt64LE(entry + 8));
    }
    at = end;
  }
  return { architectures: [...architectures].sort(), ptx: [...ptx].sort() };
}

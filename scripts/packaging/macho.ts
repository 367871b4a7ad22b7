/** Requirements of a shared library for macOS. */
export interface MachO {
  /** Paths of the shared libraries that it depends on. */
  readonly libraries: readonly string[];
  /** The oldest macOS it is built for, `11.0`; null if not recorded. */
  readonly oldestSystem: string | null;
}

// Load commands of <mach-o/loader.h>.
const loadLibrary = [0xc, 0x80000018, 0x8000001f];
const oldestMacos = 0x24;
const buildVersion = 0x32;

export function isMachO(file: Buffer): boolean {
  return file.length >= 32 && file.readUInt32LE(0) === 0xfeedfacf;
}

/** @throws Error if it is not a Mach-O file for one 64-bit architecture */
export function readMachO(file: Buffer): MachO {
  if (!isMachO(file)) throw new Error('not a Mach-O file of 64 bit');
  const libraries: string[] = [];
  let oldestSystem: string | null = null;
  let at = 32;
  for (let i = 0; i < file.readUInt32LE(16); ++i) {
    const command = file.readUInt32LE(at);
    const size = file.readUInt32LE(at + 4);
    if (loadLibrary.includes(command)) {
      const name = at + file.readUInt32LE(at + 8);
      libraries.push(file.toString('utf8', name, at + size).replace(/\0.*$/s, ''));
    }
    if (command === buildVersion) oldestSystem = version(file.readUInt32LE(at + 12));
    if (command === oldestMacos) oldestSystem = version(file.readUInt32LE(at + 8));
    at += size;
  }
  return { libraries, oldestSystem };
}

function version(packed: number): string {
  return `${packed >>> 16}.${(packed >>> 8) & 0xff}`;
}

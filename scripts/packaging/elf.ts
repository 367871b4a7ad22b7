/** Requirements of a shared library for Linux: ELF, 64 bit, little-endian. */
export interface Elf {
  /** Names of the shared libraries that it depends on. */
  readonly libraries: readonly string[];
  /** Symbol versions that it imports: `GLIBC_2.27`, with the names of the symbols. */
  readonly versions: ReadonlyMap<string, readonly string[]>;
  /** Names of the symbols that it exports. */
  readonly exports: readonly string[];
  /** Hardening flags. */
  readonly hardening: {
    /** Relocation tables become read-only once they are filled. */
    readonly relro: boolean;
    /** All of them are filled before any code runs. */
    readonly bindNow: boolean;
    /** It requires executable stacks. */
    readonly executableStack: boolean;
    /** It stays loaded after dlclose. */
    readonly noDelete: boolean;
  };
  /** The bytes of a section; null if there is none of that name. */
  section(name: string): Buffer | null;
}

interface Section {
  readonly name: number;
  readonly type: number;
  readonly link: number;
  readonly info: number;
  readonly bytes: Buffer;
}

// Section types, tags and other constants of <elf.h>.
const dynamicSection = 6;
const allSymbols = 2;
const dynamicSymbols = 11;
const noBits = 8;
const versionNeeds = 0x6ffffffe;
const versionsOfSymbols = 0x6fffffff;
const needed = 1;
const bindNow = 24;
const flags = 30;
const flags1 = 0x6ffffffb;
const stackSegment = 0x6474e551;
const relroSegment = 0x6474e552;

export function isElf(file: Buffer): boolean {
  return file.length >= 64 && file.readUInt32BE(0) === 0x7f454c46;
}

/** @throws Error if it is not such a file */
export function readElf(file: Buffer): Elf {
  if (!isElf(file) || file[4] !== 2 || file[5] !== 1)
    throw new Error('not a little-endian ELF file of 64 bit');
  const sections = readSections(file);
  const of = (type: number) => sections.find((section) => section.type === type);
  const strings = (section: Section) => sections[section.link]?.bytes ?? Buffer.alloc(0);
  const names = sections[file.readUInt16LE(62)]?.bytes ?? Buffer.alloc(0);

  const dynamic = of(dynamicSection);
  if (!dynamic) throw new Error('not a shared library');
  const entries: [tag: number, value: bigint][] = [];
  for (let at = 0; at + 16 <= dynamic.bytes.length; at += 16)
    entries.push([Number(dynamic.bytes.readBigInt64LE(at)), dynamic.bytes.readBigUInt64LE(at + 8)]);
  const libraries = entries
    .filter(([tag]) => tag === needed)
    .map(([, value]) => text(strings(dynamic), Number(value)));

  const needs = of(versionNeeds);
  const versionNames = needs ? readVersionNeeds(needs, strings(needs)) : new Map<number, string>();
  const versions = new Map([...versionNames.values()].map((name) => [name, [] as string[]]));
  const exports: string[] = [];
  const symbols = of(dynamicSymbols);
  const indices = of(versionsOfSymbols)?.bytes;
  for (let i = 1; symbols && (i + 1) * 24 <= symbols.bytes.length; ++i) {
    const name = text(strings(symbols), symbols.bytes.readUInt32LE(i * 24));
    if (symbols.bytes.readUInt16LE(i * 24 + 6) !== 0) exports.push(name);
    else if (indices) {
      const version = versionNames.get(indices.readUInt16LE(i * 2) & 0x7fff);
      if (version !== undefined) versions.get(version)?.push(name);
    }
  }
  return {
    libraries,
    versions,
    hardening: readHardening(file, entries),
    exports,
    section: (name) => sections.find((section) => text(names, section.name) === name)?.bytes ?? null,
  };
}

function readHardening(file: Buffer, entries: readonly [tag: number, value: bigint][]): Elf['hardening'] {
  const start = Number(file.readBigUInt64LE(32));
  const size = file.readUInt16LE(54);
  const segments = Array.from({ length: file.readUInt16LE(56) }, (_, i) => ({
    type: file.readUInt32LE(start + i * size),
    executable: (file.readUInt32LE(start + i * size + 4) & 1) !== 0,
  }));
  const has = (tag: number, bits: bigint) =>
    entries.some(([of, value]) => of === tag && (value & bits) !== 0n);
  return {
    relro: segments.some(({ type }) => type === relroSegment),
    bindNow: entries.some(([tag]) => tag === bindNow) || has(flags, 8n) || has(flags1, 1n),
    // Without this segment, the stack is executable.
    executableStack: segments.find(({ type }) => type === stackSegment)?.executable ?? true,
    noDelete: has(flags1, 8n),
  };
}

/** The sections of an ELF file of 64 bit, with their names. */
export function sectionsOf(file: Buffer): { readonly name: string; readonly bytes: Buffer }[] {
  const sections = readSections(file);
  const names = sections[file.readUInt16LE(62)]?.bytes ?? Buffer.alloc(0);
  return sections.map(({ name, bytes }) => ({ name: text(names, name), bytes }));
}

/** The symbols of an ELF file of 64 bit that was not stripped: functions and variables with their addresses. */
export function symbolsOf(file: Buffer): { readonly name: string; readonly value: number }[] {
  const sections = readSections(file);
  const symbols = sections.find(({ type }) => type === allSymbols);
  const names = symbols && sections[symbols.link]?.bytes;
  if (!symbols || !names) return [];
  return Array.from({ length: symbols.bytes.length / 24 }, (_, i) => ({
    name: text(names, symbols.bytes.readUInt32LE(i * 24)),
    value: Number(symbols.bytes.readBigUInt64LE(i * 24 + 8)),
  }));
}

function readSections(file: Buffer): Section[] {
  const start = Number(file.readBigUInt64LE(40));
  const size = file.readUInt16LE(58);
  return Array.from({ length: file.readUInt16LE(60) }, (_, i) => {
    const at = start + i * size;
    const type = file.readUInt32LE(at + 4);
    const offset = Number(file.readBigUInt64LE(at + 24));
    const length = type === noBits ? 0 : Number(file.readBigUInt64LE(at + 32));
    return {
      name: file.readUInt32LE(at),
      type,
      link: file.readUInt32LE(at + 40),
      info: file.readUInt32LE(at + 44),
      bytes: file.subarray(offset, offset + length),
    };
  });
}

/** Maps the version index that symbols use to its name. One record per library, a chain of versions in each. */
function readVersionNeeds({ bytes, info }: Section, strings: Buffer): Map<number, string> {
  const names = new Map<number, string>();
  let record = 0;
  for (let i = 0; i < info; ++i) {
    let version = record + bytes.readUInt32LE(record + 8);
    for (let j = 0; j < bytes.readUInt16LE(record + 2); ++j) {
      names.set(bytes.readUInt16LE(version + 6), text(strings, bytes.readUInt32LE(version + 8)));
      version += bytes.readUInt32LE(version + 12);
    }
    record += bytes.readUInt32LE(record + 12);
  }
  return names;
}

function text(strings: Buffer, offset: number): string {
  return strings.toString('latin1', offset, strings.indexOf(0, offset));
}

import type { BatchRequest } from './request';

/** Words of 32 bits of a line: four of its key, three of its id, its number in the file. */
const words = 8;
const keyWords = 4;

/**
 * The lines of an input by custom_id, and which of them are done: 48 bytes a line at most, whatever their size. Keys are
 * 128 bits of a hash.
 */
export class LineIndex {
  #lines = new Uint32Array(words * 1024);
  /** Ordinals + 1 at places that the keys determine; 0: free. Its length is a power of two. */
  #slots = new Uint32Array(2048);
  #done = new Uint8Array(128);
  #size = 0;
  #doneCount = 0;

  /** Number of lines. */
  get size(): number {
    return this.#size;
  }

  /** Number of lines that are done. */
  get doneCount(): number {
    return this.#doneCount;
  }

  /** Adds a line; returns the number in the file of an earlier one with the same custom_id, else null. */
  add({ key, id, line }: BatchRequest): number | null {
    const known = this.find(key);
    if (known !== null) return this.lineOf(known);
    this.#makeRoom();
    const ordinal = this.#size++;
    const at = ordinal * words;
    for (let i = 0; i < keyWords; i++) this.#lines[at + i] = key.readUInt32LE(4 * i);
    for (let i = 0; i < 3; i++) this.#lines[at + keyWords + i] = wordOf(id, i);
    this.#lines[at + words - 1] = line;
    this.#slots[this.#slotOf(key)] = ordinal + 1;
    return null;
  }

  /** The ordinal, from 0, of the line with a key; null for none. */
  find(key: Buffer): number | null {
    const found = this.#slots[this.#slotOf(key)] as number;
    return found === 0 ? null : found - 1;
  }

  /** Number in the file of a line. */
  lineOf(ordinal: number): number {
    return this.#lines[ordinal * words + words - 1] as number;
  }

  /** Whether the line has this id, which changes with any of its bytes. */
  hasId(ordinal: number, id: string): boolean {
    const at = ordinal * words + keyWords;
    return [0, 1, 2].every((i) => this.#lines[at + i] === wordOf(id, i));
  }

  isDone(ordinal: number): boolean {
    return (((this.#done[ordinal >> 3] as number) >> (ordinal & 7)) & 1) === 1;
  }

  markDone(ordinal: number): void {
    if (this.isDone(ordinal)) return;
    this.#done[ordinal >> 3] = (this.#done[ordinal >> 3] as number) | (1 << (ordinal & 7));
    this.#doneCount++;
  }

  /** The place of a key: where it is, or where it would be. */
  #slotOf(key: Buffer): number {
    const mask = this.#slots.length - 1;
    for (let slot = key.readUInt32LE(0) & mask; ; slot = (slot + 1) & mask) {
      const found = this.#slots[slot] as number;
      if (found === 0 || this.#hasKey(found - 1, key)) return slot;
    }
  }

  #hasKey(ordinal: number, key: Buffer): boolean {
    for (let i = 0; i < keyWords; i++) {
      if (this.#lines[ordinal * words + i] !== key.readUInt32LE(4 * i)) return false;
    }
    return true;
  }

  #makeRoom(): void {
    if ((this.#size + 1) * words <= this.#lines.length) return;
    const lines = new Uint32Array(2 * this.#lines.length);
    lines.set(this.#lines);
    this.#lines = lines;
    const done = new Uint8Array(2 * this.#done.length);
    done.set(this.#done);
    this.#done = done;
    this.#slots = new Uint32Array(2 * this.#slots.length);
    const mask = this.#slots.length - 1;
    for (let ordinal = 0; ordinal < this.#size; ordinal++) {
      let slot = (this.#lines[ordinal * words] as number) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = ordinal + 1;
    }
  }
}

/** 32 of the 96 bits of a line's id. */
const wordOf = (id: string, i: number) => Number.parseInt(id.slice(8 * i, 8 * i + 8), 16);

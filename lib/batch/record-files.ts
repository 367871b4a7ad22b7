import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RND1Error } from '../support/errors';

/** Marks files that are being written. */
const temporary = '.tmp';

/** Records in a folder, a JSON file each, which is replaced as a whole. */
export class RecordFiles<T extends { readonly id: string; readonly order: number }> {
  readonly #records = new Map<string, T>();
  #lastOrder = 0;
  /** Writes happen one after another. */
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly folder: string,
    private readonly prefix: string,
  ) {}

  /**
   * Reads all records, and removes what a process that was killed has left of others. `prefix`: the start of every id.
   *
   * @throws RND1Error `io`
   */
  static async open<T extends { readonly id: string; readonly order: number }>(
    folder: string,
    prefix: string,
  ): Promise<RecordFiles<T>> {
    const files = new RecordFiles<T>(folder, prefix);
    await mkdir(folder, { recursive: true });
    const names = await readdir(folder);
    const records: T[] = [];
    for (const name of names.filter((name) => name.endsWith('.json'))) {
      const path = join(folder, name);
      const record = files.#read(await readFile(path, 'utf8'), name.slice(0, -'.json'.length));
      if (record === null) throw new RND1Error('io', `${path} is not a record of a batch folder`);
      records.push(record);
    }
    records.sort((a, b) => a.order - b.order);
    for (const record of records) {
      files.#records.set(record.id, record);
      files.#lastOrder = record.order;
    }
    for (const name of names) {
      const [id = '', ...rest] = name.split('.');
      const known = files.#records.has(id) && ['json', 'jsonl'].includes(rest.join('.'));
      if (!known && files.#isId(id)) await rm(join(folder, name), { force: true });
    }
    return files;
  }

  #read(text: string, id: string): T | null {
    try {
      const record = JSON.parse(text) as T;
      return record.id === id && this.#isId(id) && Number.isFinite(record.order) ? record : null;
    } catch {
      return null;
    }
  }

  #isId(id: string): boolean {
    return id.startsWith(this.prefix) && /^[0-9a-f]{24}$/.test(id.slice(this.prefix.length));
  }

  /** Records, oldest first. */
  get all(): IterableIterator<T> {
    return this.#records.values();
  }

  get(id: string): T | null {
    return this.#records.get(id) ?? null;
  }

  /** A new id, and its place in lists. */
  next(): { readonly id: string; readonly order: number } {
    this.#lastOrder = Math.max(Date.now(), this.#lastOrder + 1);
    return { id: this.prefix + randomBytes(12).toString('hex'), order: this.#lastOrder };
  }

  /** The file with a record's data. */
  dataOf(id: string): string {
    return join(this.folder, `${id}.jsonl`);
  }

  /** A file for data whose record does not exist yet. */
  temporaryOf(id: string): string {
    return this.dataOf(id) + temporary;
  }

  /** Writes a record: it is there at once, and on the disk when the promise resolves. */
  save(record: T): Promise<void> {
    this.#records.set(record.id, record);
    return this.#inTurn(async () => {
      const latest = this.#records.get(record.id);
      if (latest === undefined) return;
      const path = join(this.folder, `${record.id}.json`);
      const handle = await open(path + temporary, 'w');
      try {
        await handle.writeFile(JSON.stringify(latest));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(path + temporary, path);
    });
  }

  /** Changes a record in memory only. */
  update(record: T): void {
    this.#records.set(record.id, record);
  }

  /** Removes a record and its data. */
  remove(id: string): Promise<void> {
    this.#records.delete(id);
    return this.#inTurn(async () => {
      await rm(join(this.folder, `${id}.json`), { force: true });
      await rm(this.dataOf(id), { force: true });
    });
  }

  /** Removes the data of a record. */
  async removeData(id: string): Promise<void> {
    await rm(this.dataOf(id), { force: true });
  }

  /** Resolves when all writes are done. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#writing.then(work);
    this.#writing = done.catch(() => {});
    return done;
  }
}

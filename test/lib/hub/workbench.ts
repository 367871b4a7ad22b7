import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DownloadOptions } from '../../../lib/api/types';
import { fetchSnapshot } from '../../../lib/hub/download';
import { type HubSettings, hubSettings } from '../../../lib/hub/settings';
import { LocalHub } from './local-hub';
import { shardedNano } from './sharded-nano';

/** The model that the local hub serves. */
export const repo = 'radicalnumerics/RND1-Base-0910';
export const nano = shardedNano();
export const [firstShard, secondShard, thirdShard] = Object.keys(nano) as [string, string, string];

/** The files that a download requests. */
export const wanted = Object.keys(nano)
  .filter((name) => !/README|pytorch/.test(name))
  .sort();
export const wantedBytes = wanted.reduce((sum, name) => sum + (nano[name] as Buffer).length, 0);

/** Variables that would lead a test to somebody's real cache, token or hub. */
const variables = [
  'HF_ENDPOINT',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'XDG_CACHE_HOME',
  'HF_TOKEN',
  'HF_TOKEN_PATH',
  'HUGGING_FACE_HUB_TOKEN',
  'HF_HUB_OFFLINE',
  'TRANSFORMERS_OFFLINE',
  'HF_HUB_DISABLE_IMPLICIT_TOKEN',
  'HF_HUB_DOWNLOAD_TIMEOUT',
  ...['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [name, name.toUpperCase()]),
];

/** A hub that serves nano, and a new empty cache before each test, which HF_HOME names. */
export class Workbench {
  readonly #saved = variables.map((name) => [name, process.env[name]] as const);
  #hub: LocalHub | null = null;
  #folder = '';
  /** The commit of `repo`. */
  commit = '';

  constructor() {
    beforeAll(async () => {
      this.#hub = await LocalHub.start();
    });
    beforeEach(() => {
      for (const name of variables) delete process.env[name];
      this.#folder = mkdtempSync(join(tmpdir(), 'rnd1-hub-'));
      this.hub.reset();
      this.commit = this.hub.add(repo, nano);
      process.env.HF_ENDPOINT = this.hub.url;
      process.env.HF_HOME = this.#folder;
    });
    afterEach(() => rmSync(this.#folder, { recursive: true, force: true }));
    afterAll(async () => {
      await this.#hub?.close();
      for (const [name, value] of this.#saved) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    });
  }

  get hub(): LocalHub {
    return this.#hub as LocalHub;
  }

  /** HF_HOME. */
  get home(): string {
    return this.#folder;
  }

  /** The folder of a model in a cache. */
  model(cache = join(this.home, 'hub'), name = repo): string {
    return join(cache, `models--${name.replace('/', '--')}`);
  }

  snapshot(cache?: string): string {
    return join(this.model(cache), 'snapshots', this.commit);
  }

  /** Names of partial blobs. */
  parts(): string[] {
    return readdirSync(join(this.model(), 'blobs')).filter((name) => name.includes('.'));
  }

  /** Files whose content was requested from the hub itself. */
  resolved(): string[] {
    return this.hub.requests
      .filter(({ server, url }) => server === 'hub' && url.includes('/resolve/'))
      .map(({ url }) => url.slice(url.indexOf('/resolve/') + '/resolve/'.length + this.commit.length + 1));
  }

  /** Requested ranges of a file. */
  ranges(file: string): (string | undefined)[] {
    return this.hub.requests
      .filter(({ server, url }) => server === 'cdn' && url.endsWith(file))
      .map(({ range }) => range);
  }
}

/** `downloadCheckpoint` with short pauses before retries. */
export async function download(
  options: DownloadOptions = {},
  settings: Partial<HubSettings> = {},
): Promise<string> {
  const { onProgress, signal, ...hub } = options;
  return fetchSnapshot(repo, { ...(await hubSettings(hub)), pause: 1, ...settings }, onProgress, signal);
}

/** What a promise is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  return promise.then(
    (value) => Promise.reject(new Error(`no failure, but ${String(value)}`)),
    (error: Error) => error,
  );
}

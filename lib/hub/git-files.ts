import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { RND1Error } from '../support/errors';
import { quote } from '../support/validate';
import { replaceFile } from '../support/write-files';
import { expand, huggingFaceHome } from './environment';
import { asIoError, type Subject } from './failure';
import type { Repository } from './repository';
import { apiFetch } from './request';
import { type HubSettings, secretsOf } from './settings';

/** Where GitHub has the files of commits. */
const defaultEndpoint = 'https://raw.githubusercontent.com';

/**
 * Text files of a public repository on GitHub at a commit. Each is fetched when it is asked for, into the folder that
 * Hugging Face libraries have for files of others (`HF_ASSETS_CACHE`, else `assets` in HF_HOME), and from then on read
 * there. RND1_GITHUB_URL names a mirror.
 */
export class GitFiles {
  readonly #subject: Subject;
  readonly #folder: string;

  constructor(
    repo: Repository,
    commit: string,
    settings: HubSettings,
    private readonly signal: AbortSignal,
  ) {
    const endpoint = (process.env.RND1_GITHUB_URL || defaultEndpoint).replace(/\/+$/, '');
    // The token is the hub's.
    this.#subject = { repo, settings: { ...settings, endpoint, revision: commit, token: null } };
    const assets = expand(process.env.HF_ASSETS_CACHE || join(huggingFaceHome(), 'assets'));
    this.#folder = join(assets, 'rnd1', repo.replace('/', '--'), commit);
  }

  /**
   * The text of a file.
   *
   * @param path from the root of the repository, with forward slashes
   * @throws RND1Error `not_found`, `offline`, `network`, `io` or `invalid_data`; `signal.reason` when aborted
   */
  async text(path: string): Promise<string> {
    const place = this.#placeOf(path);
    const kept = await readFile(place).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw new RND1Error('io', `cannot read ${place}: ${error.message}`, { cause: error });
    });
    if (kept !== null) return textOf(place, kept);
    const text = textOf(path, await this.#fetch(path, place));
    try {
      await mkdir(dirname(place), { recursive: true });
      await replaceFile(place, text);
    } catch (error) {
      throw asIoError(error, this.#folder);
    }
    return text;
  }

  /** @throws RND1Error `invalid_data` for a path that leads out of the repository */
  #placeOf(path: string): string {
    const plain = posix.normalize(path);
    if (/^(\/|\.\.(\/|$))/.test(plain) || /[\\:\0]/.test(plain))
      throw new RND1Error('invalid_data', `${quote(path)} is no file of ${this.#subject.repo}`);
    return join(this.#folder, plain);
  }

  async #fetch(path: string, place: string): Promise<ArrayBuffer> {
    const { repo, settings } = this.#subject;
    const { endpoint, revision, offline } = settings;
    if (offline)
      throw new RND1Error(
        'offline',
        `${place} is not there, and HF_HUB_OFFLINE forbids fetching ${path} of ${repo}`,
      );
    const subject = { ...this.#subject, file: path };
    try {
      const name = path.split('/').map(encodeURIComponent).join('/');
      const response = await apiFetch(subject, this.signal, 1)(`${endpoint}/${repo}/${revision}/${name}`);
      return await response.arrayBuffer();
    } catch (error) {
      this.signal.throwIfAborted();
      throw secretsOf(settings).error(error);
    }
  }
}

function textOf(place: string, bytes: ArrayBuffer | Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new RND1Error('invalid_data', `${place} is not text in UTF-8`, { cause: error });
  }
}

import { resolve } from 'node:path';
import type { HubOptions } from '../api/types';
import { booleanOption, quote, stringOption } from '../support/validate';
import { checkToken, storedToken } from './access-token';
import { expand, isTrue } from './environment';
import { hubLibrary } from './library';
import { proxyFor, proxySecrets } from './proxy';
import { Secrets } from './redaction';

/** How to reach the hub, and where to store its files. */
export interface HubSettings {
  /** URL without a final slash. */
  readonly endpoint: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  readonly cacheDir: string;
  readonly token: string | null;
  readonly offline: boolean;
  /** Milliseconds without data after which a request is aborted and retried. */
  readonly timeout: number;
  /** Consecutive requests without progress before it fails. */
  readonly attempts: number;
  /** Milliseconds before the first retry; doubled for each further one. */
  readonly pause: number;
}

const defaultTimeout = 30_000;
const defaultPause = 500;
const defaultAttempts = 5;

/** Throws `TypeError` for invalid options. */
export function checkHubOptions({ revision, cacheDir, token, offline }: HubOptions): void {
  if (revision !== undefined) checkRevision(stringOption('revision', revision));
  if (cacheDir !== undefined && stringOption('cacheDir', cacheDir) === '') {
    throw new TypeError("cacheDir must be a folder, not ''");
  }
  if (token !== undefined && token !== null) checkToken('token', token);
  booleanOption('offline', offline, false);
}

/** Options, else the environment variables that Python's huggingface_hub documents, else defaults. */
export async function hubSettings(options: HubOptions): Promise<HubSettings> {
  checkHubOptions(options);
  const { revision = 'main', cacheDir, token, offline } = options;
  const settings = {
    endpoint: endpointUrl(process.env.HF_ENDPOINT || hubLibrary().HUB_URL),
    revision,
    cacheDir: resolve(cacheDir ?? expand(hubLibrary().getHFHubCachePath())),
    token: token === undefined ? await storedToken() : token,
    offline: offline ?? isTrue(process.env.HF_HUB_OFFLINE || process.env.TRANSFORMERS_OFFLINE),
    timeout: timeoutOf(process.env.HF_HUB_DOWNLOAD_TIMEOUT),
    attempts: defaultAttempts,
    pause: defaultPause,
  };
  // Report an invalid proxy variable before the first request.
  if (!settings.offline) proxyFor(new URL(settings.endpoint));
  return settings;
}

/** The secrets that no error may quote. */
export function secretsOf({ token }: HubSettings): Secrets {
  return new Secrets([...(token === null ? [] : [token]), ...proxySecrets()]);
}

function endpointUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new TypeError(`HF_ENDPOINT must be the address of a hub, not ${quote(withoutPassword(text))}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new TypeError('HF_ENDPOINT must not contain a password: use a token instead');
  }
  return url.href.replace(/\/+$/, '');
}

const withoutPassword = (text: string) => text.replace(/\/\/.*@/, '//***@');

/** Strict: it becomes a path below `refs`. */
function checkRevision(revision: string): void {
  const parts = revision.split('/');
  if (parts.some((part) => /^\.*$|[\\:?*[\]~^\s\p{Cc}]/u.test(part)) || revision.length > 255) {
    throw new TypeError(`revision must be a branch, a tag or a commit, not ${quote(revision)}`);
  }
}

function timeoutOf(seconds: string | undefined): number {
  const value = Number(seconds);
  return seconds && Number.isFinite(value) && value > 0 ? value * 1000 : defaultTimeout;
}

import { createHash, timingSafeEqual } from 'node:crypto';
import { ApiError } from './errors';

const digest = (text: string) => createHash('sha256').update(text).digest();

/**
 * Returns a check of the `Authorization` header against a list of keys; the check returns the key's index. It always
 * compares all digests, which have equal length, so that its time reveals nothing about any key.
 */
export function keyCheck(keys: readonly string[]): (authorization: string | undefined) => number {
  const digests = keys.map(digest);
  return (authorization) => {
    const given = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    const candidate = digest(given ?? '');
    let known = -1;
    for (const [i, key] of digests.entries()) if (timingSafeEqual(key, candidate)) known = i;
    if (given !== undefined && known >= 0) return known;
    const problem =
      given === undefined ? 'an API key is needed: Authorization: Bearer KEY' : 'the API key is wrong';
    throw new ApiError(401, 'invalid_api_key', problem, { headers: { 'www-authenticate': 'Bearer' } });
  };
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RND1Error } from '../support/errors';
import { expand, huggingFaceHome, isTrue } from './environment';

/** HF_TOKEN, else the file that `hf auth login` writes. */
export async function storedToken(): Promise<string | null> {
  const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH } = process.env;
  if (isTrue(process.env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return null;
  const named = (HF_TOKEN || HUGGING_FACE_HUB_TOKEN || '').trim();
  if (named !== '') return checkToken('HF_TOKEN', named);
  const path = expand(HF_TOKEN_PATH ?? join(huggingFaceHome(), 'token'));
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return '';
    throw new RND1Error('io', `cannot read the token in ${path}: ${error.message}`, { cause: error });
  });
  return text.trim() === '' ? null : checkToken(`the token in ${path}`, text.trim());
}

/** Checks that a header can carry a token, without showing it in a message. */
export function checkToken(name: string, token: unknown): string {
  if (typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)) return token;
  const what = typeof token === 'string' ? 'the one given' : `a ${typeof token}`;
  throw new TypeError(`${name} must be a string of printable ASCII without spaces, not ${what}`);
}

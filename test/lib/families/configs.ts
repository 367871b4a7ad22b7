import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { familyOf } from '../../../lib/families';
import { Fields } from '../../../lib/support/fields';
import type { Architecture } from '../../../types/native';
import { fixtures } from '../checkpoint/files';

/** config.json of a tiny checkpoint of another family. */
export const tinyConfig = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(fixtures, 'families', name, 'config.json'), 'utf8'));

/** The graph that a config.json describes; `undefined` in `changes` removes a key. */
export function architectureOf(name: string, changes: Record<string, unknown> = {}): Architecture {
  const fields = new Fields('config.json', { ...tinyConfig(name), ...changes });
  return familyOf(fields).read(fields);
}

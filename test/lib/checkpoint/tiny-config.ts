import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConfig } from '../../../lib/checkpoint/config';
import { fixtures, temporaryFolder } from './files';

/** The configuration of the golden checkpoint. */
export const TINY = JSON.parse(readFileSync(join(fixtures, 'tiny-moe', 'config.json'), 'utf8'));

/** A folder with the tiny configuration, changed; `undefined` removes a key. */
function folderWith(changes: Record<string, unknown>, generation?: Record<string, unknown> | string) {
  return temporaryFolder({
    'config.json': JSON.stringify({ ...TINY, ...changes }),
    ...(generation && {
      'generation_config.json': typeof generation === 'string' ? generation : JSON.stringify(generation),
    }),
  });
}

/** Reads the tiny configuration, changed. */
export const read = (changes: Record<string, unknown>, generation?: Record<string, unknown> | string) =>
  readConfig(folderWith(changes, generation));

import { join } from 'node:path';
import { fileSize, readText } from '../checkpoint/files';
import { INDEX_FILE, parseIndex, SINGLE_FILE } from '../checkpoint/manifest';

export { INDEX_FILE, SINGLE_FILE };

export const CONFIG_FILE = 'config.json';
const TOKENIZER_FILE = 'tokenizer.json';

/** Files of a checkpoint that are read besides its weights. */
export const settingFiles: readonly string[] = [
  CONFIG_FILE,
  'generation_config.json',
  TOKENIZER_FILE,
  'tokenizer_config.json',
  'chat_template.jinja',
];

/** The shards that the index in a folder lists. Throws `invalid_checkpoint` if one leads out of the folder. */
export async function shardsOf(folder: string): Promise<readonly string[]> {
  const path = join(folder, INDEX_FILE);
  const text = await readText(path);
  return text === null ? [] : [...new Set(parseIndex(text, path).weightMap.values())].sort();
}

/** Whether a folder has a configuration and all weights. */
export async function isComplete(folder: string): Promise<boolean> {
  const has = async (file: string) => (await fileSize(join(folder, file))) !== null;
  if (!(await has(CONFIG_FILE))) return false;
  if (await has(SINGLE_FILE)) return true;
  const shards = await shardsOf(folder);
  for (const shard of shards) if (!(await has(shard))) return false;
  return shards.length > 0;
}

/** Not every model has a tokenizer, and other libraries may not cache it. */
export async function hasTokenizer(folder: string): Promise<boolean> {
  return (await fileSize(join(folder, TOKENIZER_FILE))) !== null;
}

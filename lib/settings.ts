import { type ModelConfig, readConfig } from './config';
import { Tokenizer } from './tokenizer';

/** What a checkpoint folder says besides its weights. */
export interface Settings {
  readonly config: ModelConfig;
  /** null when there is no tokenizer.json. */
  readonly tokenizer: Tokenizer | null;
}

/** Reads both together: ids of the tokenizer are checked by the config, special tokens may be named by the tokenizer. */
export async function readSettings(folder: string, configFile?: string): Promise<Settings> {
  let tokenizer: Tokenizer | null = null;
  const namedTokens = async (vocabulary: number) => {
    tokenizer = await Tokenizer.load(folder, vocabulary);
    return tokenizer?.named ?? {};
  };
  return { config: await readConfig(folder, { configFile, namedTokens }), tokenizer };
}

import { type ModelConfig, readConfig } from './config';
import { Tokenizer } from './tokenizer';

/** What a checkpoint folder says besides its weights. */
export interface Settings {
  readonly config: ModelConfig;
  /** null when there is no tokenizer.json. */
  readonly tokenizer: Tokenizer | null;
  /** Contradictions that leave no doubt: docs/checkpoints.md. */
  readonly warnings: readonly string[];
}

/** Reads both together: ids of the tokenizer are checked by the config, special tokens may be named by the tokenizer. */
export async function readSettings(folder: string, configFile?: string): Promise<Settings> {
  let tokenizer: Tokenizer | null = null;
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const namedTokens = async (vocabulary: number) => {
    tokenizer = await Tokenizer.load(folder, vocabulary, warn);
    return tokenizer?.named ?? {};
  };
  return { config: await readConfig(folder, { configFile, namedTokens, warn }), tokenizer, warnings };
}

import { type ModelConfig, readConfig } from './config';
import { Tokenizer } from './tokenizer';

/** Contents of a checkpoint folder besides its weights. */
export interface Settings {
  readonly config: ModelConfig;
  /** null when there is no tokenizer.json. */
  readonly tokenizer: Tokenizer | null;
  /** Contradictions whose resolution is clear: docs/checkpoints.md. */
  readonly warnings: readonly string[];
}

/** Reads both together: the config limits the ids of the tokenizer, which may name special tokens. */
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

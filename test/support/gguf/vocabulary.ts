import { readFileSync } from 'node:fs';
import type { Metadata } from './file';

interface Definition {
  readonly model: { readonly vocab: Record<string, number>; readonly merges: readonly (string | string[])[] };
  readonly added_tokens: readonly { id: number; content: string; special: boolean }[];
}

/** The vocabulary of a tokenizer.json as metadata. */
export function vocabulary(path: string, pre = 'qwen2'): Metadata {
  const { model, added_tokens } = JSON.parse(readFileSync(path, 'utf8')) as Definition;
  const tokens: string[] = [];
  const types: number[] = [];
  const add = (content: string, id: number, type: number) => {
    tokens[id] = content;
    types[id] = type;
  };
  for (const [token, id] of Object.entries(model.vocab)) add(token, id, 1);
  for (const { id, content, special } of added_tokens) add(content, id, special ? 3 : 4);
  for (let id = 0; id < tokens.length; id++) if (tokens[id] === undefined) add(`[PAD${id}]`, id, 5);
  return {
    'tokenizer.ggml.model': { text: 'gpt2' },
    'tokenizer.ggml.pre': { text: pre },
    'tokenizer.ggml.tokens': { texts: tokens },
    'tokenizer.ggml.token_type': { i32s: types },
    'tokenizer.ggml.merges': { texts: model.merges.map((merge) => [merge].flat().join(' ')) },
  };
}

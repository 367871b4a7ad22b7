import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Checkpoint, familyFolder } from './families';
import { nanoFolder } from './models';

const template =
  "{% set names = {'system': 'SYSTEM', 'user': 'HUMAN', 'assistant': 'ASSISTANT'} %}" +
  "{% for m in messages %}{{ '<role>' + names[m.role] + '</role>' + m.content + '<|role_end|>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<role>ASSISTANT</role>' }}{% endif %}";

/** Ids of the twin's special tokens; the vocabulary has 384. */
export const twinTokens = {
  '<|role_end|>': 371,
  '<|endoftext|>': 372,
  '<role>': 373,
  '</role>': 374,
  '<|mask|>': 375,
} as const;

/** What a twin lacks or has instead. */
export interface TwinOptions {
  /** @default 'tiny-llada-moe' */
  readonly checkpoint?: Checkpoint;
  /** @default as inclusionAI's */
  readonly template?: string | null;
  /** Fields of config.json that are replaced. */
  readonly config?: Record<string, unknown>;
}

/**
 * The files of a tiny twin of an instruct model, inclusionAI/LLaDA-MoE-7B-A1B-Instruct unless `checkpoint` is another: the
 * golden checkpoint, which writes nonsense, with a tokenizer of bytes and a chat template.
 */
export function instructTwin({
  checkpoint = 'tiny-llada-moe',
  template: given = template,
  config = {},
}: TwinOptions = {}): Record<string, Buffer> {
  const folder = familyFolder(checkpoint);
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
  const tokenizer = read(join(nanoFolder, 'tokenizer.json'));
  const [sample] = tokenizer.added_tokens;
  const added_tokens = Object.entries(twinTokens).map(([content, id]) => ({ ...sample, content, id }));
  const named = { eos_token: '<|endoftext|>', pad_token: '<|endoftext|>', mask_token: '<|mask|>' };
  return {
    'config.json': json({ ...read(join(folder, 'config.json')), ...config }),
    'model.safetensors': readFileSync(join(folder, 'model.safetensors')),
    'tokenizer.json': json({ ...tokenizer, added_tokens }),
    'tokenizer_config.json': json({
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...named,
      ...(given === null ? {} : { chat_template: given }),
    }),
  };
}

/** Writes files into a new folder. */
export function writeTwin(folder: string, options?: TwinOptions): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(instructTwin(options))) writeFileSync(join(folder, name), bytes);
  return folder;
}

/** Files of a checkpoint that are copied unchanged when its weights change. */
export const companionFiles = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'chat_template.json',
  'chat_template.jinja',
  'LICENSE',
  'LICENSE.txt',
  'LICENSE.md',
  'NOTICE',
];

/** A tensor to write. */
export interface WrittenTensor {
  readonly name: string;
  /** As safetensors spells it. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** The data begins at a multiple of this, in bytes. */
const alignment = 64;

/** A safetensors file before its data: length, JSON, padding. The tensors' data must follow in the given order. */
export function safetensorsHeader(
  tensors: readonly WrittenTensor[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  const fields: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    fields[name] = { dtype, shape, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  const json = Buffer.from(JSON.stringify(fields));
  const length = Math.ceil((8 + json.length) / alignment) * alignment;
  const header = Buffer.alloc(length, ' ');
  header.writeBigUInt64LE(BigInt(length - 8));
  json.copy(header, 8);
  return header;
}

/** Divides items into files of at most `shardBytes`, in order; a larger item gets a file of its own. */
export function splitShards<T>(items: readonly T[], bytesOf: (item: T) => number, shardBytes: number): T[][] {
  const shards: T[][] = [];
  let room = 0;
  for (const item of items) {
    const bytes = bytesOf(item);
    if (shards.length === 0 || bytes > room) {
      shards.push([]);
      room = shardBytes;
    }
    shards.at(-1)?.push(item);
    room -= bytes;
  }
  return shards;
}

/** The name of one of `count` files, as Hugging Face's libraries spell it. */
export function shardName(index: number, count: number): string {
  if (count === 1) return 'model.safetensors';
  const digits = (number: number) => String(number).padStart(5, '0');
  return `model-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}

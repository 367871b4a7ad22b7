import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConfig } from '../../../lib/checkpoint/config';
import { bitsOf } from '../../../lib/checkpoint/dtype';
import { type Manifest, readManifest } from '../../../lib/checkpoint/manifest';
import { type HeaderTensor, parseHeader } from '../../../lib/checkpoint/safetensors';
import { selectTensors } from '../../../lib/checkpoint/tensors';
import { Tokenizer } from '../../../lib/checkpoint/tokenizer/tokenizer';
import { RND1Error } from '../../../lib/support/errors';
import { fixtures, packed, randomNumbers, temporaryFolder } from './files';

/** Fragments that parsers of JSON and of this format stumble over. */
const FRAGMENTS = [
  ...['{', '}', '[', ']', ',', ':', '"', '\\', '\\u0000', '\\ud800', '\0', '\n', ' ', '-', '.', 'e9', '//'],
  ...['0', '-1', '1e999', '4294967296', '9007199254740991', '9007199254740993', '1'.repeat(400)],
  ...['null', 'true', '[]', '{}', '"a"', '"__proto__"', '"__metadata__"', '"weight_map"', '"../x"', 'é'],
  ...['"F32"', '"BF16"', '"I64"', '"F4"', '"dtype":"F32",', '"shape":[],', '"data_offsets":[0,0],', '\uFFFF'],
  ...['['.repeat(5000), '{"a":'.repeat(5000)],
];

/** Some bytes flipped, cut, doubled, moved or replaced. */
function mutate(original: Uint8Array, random: () => number): Uint8Array {
  let bytes: Buffer = Buffer.from(original);
  const place = () => Math.floor(random() * (bytes.length + 1));
  const count = random() < 0.6 ? 1 : 2 + Math.floor(random() * 3);
  for (let left = count; left > 0; left--) {
    const at = place();
    const other = place();
    const [from, to] = [Math.min(at, other), Math.min(Math.max(at, other), Math.min(at, other) + 40)];
    const fragment = Buffer.from(FRAGMENTS[Math.floor(random() * FRAGMENTS.length)] ?? '');
    const kind = Math.max(0, Math.floor(random() * 9) - 2);
    if (kind === 0 && at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    else if (kind === 1) bytes = bytes.subarray(0, at);
    else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
    else if (kind === 4) bytes = Buffer.concat([bytes.subarray(0, at), fragment, bytes.subarray(at)]);
    else if (kind === 5) bytes = Buffer.concat([bytes.subarray(0, from), fragment, bytes.subarray(to)]);
    else bytes = mutateNumber(bytes, random, fragment);
    bytes = Buffer.from(bytes);
  }
  return bytes;
}

/** Replaces one of the numbers in the text, so that mutants get past the grammar. */
function mutateNumber(bytes: Buffer, random: () => number, fragment: Buffer): Buffer {
  const text = bytes.toString('latin1');
  const numbers = [...text.matchAll(/\d+/g)];
  const chosen = numbers[Math.floor(random() * numbers.length)];
  if (!chosen) return bytes;
  const value = Number(chosen[0]);
  const choices = [value + 1, value - 1, value * 2, 0, value + 4, fragment.toString('latin1')];
  const choice = String(choices[Math.floor(random() * choices.length)]);
  return Buffer.from(
    text.slice(0, chosen.index) + choice + text.slice(chosen.index + chosen[0].length),
    'latin1',
  );
}

/** The value, or null for an `RND1Error`; any other exception fails the test. */
async function attempt<T>(run: () => T | Promise<T>, seed: number): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof RND1Error) {
      if (error.message.length > 20_000)
        throw new Error(`seed ${seed}: message of ${error.message.length} characters`);
      return null;
    }
    throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
  }
}

/** Recomputes what native code relies on in every accepted header. */
function isSound(tensors: readonly HeaderTensor[], fileBytes: number): boolean {
  let end: number | undefined;
  for (const { offset, bytes, shape, dtype } of tensors) {
    const elements = shape.reduce((product, size) => product * BigInt(size), 1n);
    if ((elements * BigInt(bitsOf(dtype) ?? 0)) / 8n !== BigInt(bytes)) return false;
    if (offset < 8 || (end !== undefined && offset !== end)) return false;
    end = offset + bytes;
  }
  return end === undefined || end === fileBytes;
}

function isSoundManifest(manifest: Manifest): boolean {
  return manifest.files.every((_, file) =>
    isSound(
      [...manifest.tensors.values()].filter((tensor) => tensor.file === file),
      manifest.fileBytes[file] ?? 0,
    ),
  );
}

const TENSORS = [
  { name: 'model.embed_tokens.weight', shape: [4, 3], dtype: 'BF16' },
  { name: 'model.norm.weight', shape: [3], dtype: 'F32' },
  { name: 'empty', shape: [0, 2], dtype: 'F16' },
  { name: 'counts', shape: [5], dtype: 'U8' },
];

test('mutated headers are sound or refused', async () => {
  const file = packed(TENSORS);
  const header = file.subarray(8, file.indexOf('}}') + 2);
  const outcomes = { sound: 0, refused: 0 };
  for (let seed = 0; seed < 20_000; seed++) {
    const mutant = mutate(header, randomNumbers(seed));
    const fileBytes = file.length - header.length + mutant.length;
    const parsed = await attempt(() => parseHeader(mutant, fileBytes, 'fuzz'), seed);
    if (parsed && !isSound(parsed.tensors, fileBytes)) throw new Error(`seed ${seed} was accepted`);
    outcomes[parsed ? 'sound' : 'refused']++;
  }
  // Both must be frequent: otherwise mutants are too tame or too wild.
  expect(outcomes.sound).toBeGreaterThan(500);
  expect(outcomes.refused).toBeGreaterThan(10_000);
});

test('mutated files give a sound manifest or are refused', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'model.safetensors');
  const file = packed(TENSORS);
  const outcomes = { sound: 0, refused: 0 };
  for (let seed = 0; seed < 1500; seed++) {
    writeFileSync(path, mutate(file, randomNumbers(seed)));
    const manifest = await attempt(() => readManifest(folder), seed);
    if (manifest && !isSoundManifest(manifest)) throw new Error(`seed ${seed} was accepted`);
    outcomes[manifest ? 'sound' : 'refused']++;
  }
  expect(outcomes.sound).toBeGreaterThan(10);
  expect(outcomes.refused).toBeGreaterThan(1000);
});

test('mutated indexes give a sound manifest or are refused', async () => {
  const index = JSON.stringify({
    metadata: { total_size: 41, nested: [{ a: -1.5e3 }, true, null] },
    weight_map: { a: 'one.safetensors', b: 'two.safetensors', c: 'two.safetensors' },
  });
  const folder = temporaryFolder({
    'one.safetensors': packed([{ name: 'a', shape: [2] }]),
    'two.safetensors': packed([
      { name: 'b', shape: [3] },
      { name: 'c', shape: [1] },
    ]),
  });
  const outcomes = { sound: 0, refused: 0 };
  for (let seed = 0; seed < 1500; seed++) {
    writeFileSync(
      join(folder, 'model.safetensors.index.json'),
      mutate(Buffer.from(index), randomNumbers(seed)),
    );
    const manifest = await attempt(() => readManifest(folder), seed);
    if (manifest && !isSoundManifest(manifest)) throw new Error(`seed ${seed} was accepted`);
    outcomes[manifest ? 'sound' : 'refused']++;
  }
  expect(outcomes.sound).toBeGreaterThan(50);
  expect(outcomes.refused).toBeGreaterThan(500);
});

test('mutated configurations select every tensor or are refused', async () => {
  const source = join(fixtures, 'tiny-moe');
  const manifest = await readManifest(source);
  const config = readFileSync(join(source, 'config.json'));
  const generation = readFileSync(join(source, 'generation_config.json'));
  const folder = temporaryFolder();
  const outcomes = { selected: 0, misfit: 0, refused: 0 };
  for (let seed = 0; seed < 1500; seed++) {
    const random = randomNumbers(seed);
    writeFileSync(join(folder, 'config.json'), mutate(config, random));
    writeFileSync(
      join(folder, 'generation_config.json'),
      seed % 4 === 0 ? mutate(generation, random) : generation,
    );
    const read = await attempt(() => readConfig(folder), seed);
    if (read === null) {
      outcomes.refused++;
      continue;
    }
    const { maskTokenId, eosTokenIds, padTokenId, bosTokenId } = read.tokens;
    for (const id of [maskTokenId ?? -1, ...eosTokenIds, padTokenId ?? 0, bosTokenId ?? 0]) {
      if (!(Number.isInteger(id) && id >= 0 && id < read.architecture.vocabulary))
        throw new Error(`seed ${seed}: ${id}`);
    }
    const selected = await attempt(() => selectTensors(manifest, read), seed);
    outcomes[selected ? 'selected' : 'misfit']++;
  }
  expect(outcomes.selected).toBeGreaterThan(50);
  expect(outcomes.misfit).toBeGreaterThan(5);
  expect(outcomes.refused).toBeGreaterThan(500);
});

test('mutated tokenizers load or are refused, and give ids within the vocabulary', async () => {
  const source = join(__dirname, '../..', '..', 'models', 'nano');
  const definition = readFileSync(join(source, 'tokenizer.json'));
  const config = readFileSync(join(source, 'tokenizer_config.json'));
  const folder = temporaryFolder();
  const outcomes = { loaded: 0, refused: 0 };
  for (let seed = 0; seed < 1000; seed++) {
    const random = randomNumbers(seed);
    writeFileSync(join(folder, 'tokenizer.json'), mutate(definition, random));
    writeFileSync(join(folder, 'tokenizer_config.json'), seed % 4 === 0 ? mutate(config, random) : config);
    const tokenizer = await attempt(() => Tokenizer.load(folder, 264), seed);
    const ids = tokenizer && (await attempt(() => tokenizer.encode('Ab é <|im_end|>'), seed));
    if (tokenizer && ids) {
      if (!ids.every((id) => id >= 0 && id < 264)) throw new Error(`seed ${seed}: ids ${ids}`);
      await attempt(() => tokenizer.decode(ids), seed);
    }
    outcomes[ids ? 'loaded' : 'refused']++;
  }
  expect(outcomes.loaded).toBeGreaterThan(20);
  expect(outcomes.refused).toBeGreaterThan(200);
});

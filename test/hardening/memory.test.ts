import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { printedBy } from './children';
import { type HeaderEntry, temporaryFolder } from './support';

const linux = process.platform === 'linux';
if (!linux) console.warn('SKIPPED: memory.test.ts reads /proc, which only Linux has');

interface Sizes {
  readonly hidden: number;
  readonly heads: number;
  readonly headDim: number;
  readonly layers: number;
  readonly experts: number;
  readonly expertWidth: number;
  readonly vocabulary: number;
}

/** A bf16 checkpoint of zeros, which the file system need not even store, with norms of one. */
function checkpoint(sizes: Sizes): { folder: string; bytes: number } {
  const { hidden, heads, headDim, layers, experts, expertWidth, vocabulary } = sizes;
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [vocabulary, hidden]],
    ['model.norm.weight', [hidden]],
    ['lm_head.weight', [vocabulary, hidden]],
  ];
  for (let layer = 0; layer < layers; layer++) {
    const add = (name: string, ...shape: number[]) =>
      shapes.push([`model.layers.${layer}.${name}.weight`, shape]);
    for (const norm of ['input_layernorm', 'post_attention_layernorm']) add(norm, hidden);
    for (const name of ['q', 'k', 'v']) add(`self_attn.${name}_proj`, heads * headDim, hidden);
    add('self_attn.o_proj', hidden, heads * headDim);
    for (const name of ['q', 'k']) add(`self_attn.${name}_norm`, headDim);
    add('mlp.gate', experts, hidden);
    for (let expert = 0; expert < experts; expert++) {
      for (const name of ['gate', 'up']) add(`mlp.experts.${expert}.${name}_proj`, expertWidth, hidden);
      add(`mlp.experts.${expert}.down_proj`, hidden, expertWidth);
    }
  }
  const header: Record<string, HeaderEntry> = {};
  let bytes = 0;
  for (const [name, shape] of shapes) {
    const end = bytes + 2 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: 'BF16', shape, data_offsets: [bytes, end] };
    bytes = end;
  }
  const folder = temporaryFolder();
  const json = Buffer.from(JSON.stringify(header));
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  writeSync(file, Buffer.concat([start, json]));
  ftruncateSync(file, 8 + json.length + bytes);
  closeSync(file);
  const config = {
    model_type: 'rnd1',
    hidden_size: hidden,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    head_dim: headDim,
    num_hidden_layers: layers,
    num_experts: experts,
    num_experts_per_tok: 2,
    moe_intermediate_size: expertWidth,
    norm_topk_prob: true,
    vocab_size: vocabulary,
    max_position_embeddings: 16_384,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    tie_word_embeddings: false,
    mask_token_id: 7,
    torch_dtype: 'bfloat16',
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  return { folder, bytes };
}

type Gauges = Record<'grown' | 'resident' | 'own' | 'anonymous', number>;

/** For the children: kilobytes of a line of /proc/self/status, and of the mapping of the weights. */
const gauges = `
const { readFileSync } = require('fs');
const status = (name) => Number(new RegExp(name + ':\\\\s+(\\\\d+) kB').exec(readFileSync('/proc/self/status', 'utf8'))[1]);
const mapping = () => {
  const maps = readFileSync('/proc/self/smaps', 'utf8').split(/\\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  const mine = maps.filter((map) => map.split('\\n')[0].endsWith('model.safetensors'));
  const sum = (name) => mine.reduce((all, map) => all + Number(new RegExp('\\\\n' + name + ':\\\\s+(\\\\d+)').exec(map)[1]), 0);
  return { resident: sum('Rss'), own: sum('Pss'), anonymous: sum('Anonymous') };
};
`;

(linux ? describe : describe.skip)('weights', () => {
  const sizes = {
    hidden: 1024,
    heads: 8,
    headDim: 64,
    layers: 4,
    experts: 8,
    expertWidth: 448,
    vocabulary: 2048,
  };

  it.each(['f32', 'bf16'])('are used where they are mapped, in %s', async (dtype) => {
    const { folder, bytes } = checkpoint(sizes);
    expect(bytes).toBeGreaterThan(2 ** 26);
    const measure = `${gauges}
      const before = status('RssAnon');
      const model = await DiffusionLM.load(${JSON.stringify(folder)}, { ...onCpu, mmap: true, dtype: ${JSON.stringify(dtype)} });
      // Enough tokens for every expert, hence every page.
      const tokens = Int32Array.from({ length: 64 }, (_, i) => i);
      await model.forward(tokens, { positions: [0], forcedExperts: Int32Array.from({ length: 4 * 64 * 2 }, (_, i) => i % 8) });`;
    const report = 'console.log(JSON.stringify({ grown: status("RssAnon") - before, ...mapping() }))';
    // The second process has the pages of the first, which still holds them.
    const [first, second] = (await printedBy(`${measure}
      const { execFileSync } = require('child_process');
      const second = execFileSync(process.execPath, ['-e', ${JSON.stringify(
        `const { DiffusionLM } = require(${JSON.stringify(join(__dirname, '..', '..'))});
         const onCpu = { device: 'cpu', threads: 2 }; (async () => { ${measure} ${report}; })();`,
      )}], { encoding: 'utf8', timeout: 60_000 });
      console.log(JSON.stringify([{ grown: status("RssAnon") - before, ...mapping() }, JSON.parse(second)]));`)) as [
      Gauges,
      Gauges,
    ];
    for (const { grown, resident, anonymous } of [first, second]) {
      expect(grown).toBeLessThan(bytes / 1024 / 4);
      // Nearly all: only the rows of tokens that do not occur are left out.
      expect(resident).toBeGreaterThan((0.8 * bytes) / 1024);
      expect(anonymous).toBe(0);
    }
    // Of pages that both have, each counts a half.
    expect(second.own).toBeLessThan(0.6 * second.resident);
  });
});

(linux ? describe : describe.skip)('a canvas', () => {
  it('takes memory in proportion to its length', async () => {
    const heads = 8;
    const { folder } = checkpoint({
      hidden: 64,
      heads,
      headDim: 16,
      layers: 1,
      experts: 4,
      expertWidth: 32,
      vocabulary: 512,
    });
    const kilobytes: number[] = [];
    for (const rows of [4096, 8192]) {
      const grown = await printedBy(`${gauges}
        const model = await DiffusionLM.load(${JSON.stringify(folder)}, onCpu);
        await model.forward([1]);
        const before = status('RssAnon');
        // The largest value that it has while the pass runs and after it.
        let peak = before;
        let running = true;
        const pass = model.forward(new Int32Array(${rows}).fill(9), { positions: [0] }).finally(() => { running = false; });
        while (running) {
          peak = Math.max(peak, status('RssAnon'));
          await new Promise(setImmediate);
        }
        await pass;
        console.log(Math.max(peak, status('RssAnon')) - before);`);
      kilobytes.push(grown as number);
    }
    const [half, whole] = kilobytes as [number, number];
    expect(whole / half).toBeLessThan(3);
    const scores = (heads * 8192 * 8192 * 4) / 1024;
    // Not even those of one head.
    expect(whole).toBeLessThan(scores / heads);
  });
});

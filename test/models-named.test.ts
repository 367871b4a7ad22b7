import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DiffusionLM, type LoadOptions } from '../lib';
import { temporaryFolder } from './lib/checkpoint/files';
import { type Checkpoint, familyFolder, familyTokens } from './support/families';
import { writeTwin } from './support/instruct-twin';
import { nanoFolder } from './support/models';

// Every model that the README and the pages name runs here, as a tiny twin of its family.

const root = resolve(__dirname, '..');
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((page) =>
  page.endsWith('.md'),
);
const owners = ['radicalnumerics', 'inclusionAI', 'GSAI-ML', 'Dream-org', 'JetLM', 'Qwen'];

/** A tiny checkpoint, and how to load it. */
interface Twin {
  readonly family: string;
  readonly folder: () => string;
  readonly options?: LoadOptions;
}

const fixture = (name: Checkpoint, family: string): Twin => ({
  family,
  folder: () => familyFolder(name),
  options: familyTokens(name),
});

/** SDAR's layers are Qwen3's; nothing else was made for it. */
function sdar(): string {
  const folder = familyFolder('tiny-qwen3');
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  return temporaryFolder({
    'config.json': JSON.stringify({
      ...config,
      model_type: 'sdar',
      architectures: ['SDARForCausalLM'],
      mask_token_id: 375,
    }),
    'model.safetensors': readFileSync(join(folder, 'model.safetensors')),
  });
}

/** Names begin with these. The first that fits counts. */
const twins: readonly (readonly [string, Twin])[] = [
  ['radicalnumerics/RND1', { family: 'rnd1', folder: () => nanoFolder }],
  [
    'inclusionAI/LLaDA-MoE-7B-A1B-Instruct',
    { family: 'llada-moe', folder: () => writeTwin(temporaryFolder()) },
  ],
  ['inclusionAI/LLaDA-MoE', fixture('tiny-llada-moe', 'llada-moe')],
  ['inclusionAI/LLaDA2', fixture('tiny-llada2', 'llada2')],
  ['GSAI-ML/LLaDA', fixture('tiny-llada', 'llada')],
  ['Dream-org/Dream', fixture('tiny-dream', 'dream')],
  ['JetLM/SDAR', { family: 'sdar', folder: sdar }],
  ['Qwen/Qwen3-30B-A3B', fixture('tiny-qwen3-moe', 'qwen3-moe')],
  ['Qwen/Qwen3', fixture('tiny-qwen3', 'qwen3')],
];

const pattern = new RegExp(`\\b(?:${owners.join('|')})/[A-Za-z][\\w.-]*\\w`, 'g');
const names = [
  ...new Set(pages.flatMap((page) => readFileSync(join(root, page), 'utf8').match(pattern) ?? [])),
].sort();

test('models of every family are named', () => {
  const families = names.map((name) => twins.find(([start]) => name.startsWith(start))?.[1].family);
  expect([...new Set(families)].sort()).toEqual([...new Set(twins.map(([, { family }]) => family))].sort());
});

test.each(names)('%s', async (name) => {
  const [, twin] = twins.find(([start]) => name.startsWith(start)) as (typeof twins)[number];
  const model = await DiffusionLM.load(twin.folder(), { ...twin.options, threads: 1 });
  try {
    expect(model.config.family).toBe(twin.family);
    const options = { maxNewTokens: 6, steps: 2, stopAtEos: false };
    const { positions } = await model.generateTokens({ ...options, prefix: [5, 6, 7] });
    expect(positions.length).toBeGreaterThan(4);
    if (!name.endsWith('-Instruct') || model.tokenizer === null) return;
    const answer = await model.chat([{ role: 'user', content: 'Hi' }], options);
    expect(answer.positions).toHaveLength(6);
  } finally {
    await model.dispose();
  }
});

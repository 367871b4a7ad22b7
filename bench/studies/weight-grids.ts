/**
 * What formats of weights cost: the embedded model's weights are rounded to grids of 4 to 8 bits, their columns grouped
 * in several random orders, and computed with in f32. Prints KL divergence and NMSE of the logits (geometric means over
 * the orders) against the weights as they are.
 *
 *     npx tsx bench/studies/weight-grids.ts FOLDER [--seeds 1,2,3,4,5,6,7,8,9,10,11,12] [--quick]
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../examples/support/random';
import { DiffusionLM } from '../../lib';
import type { BenchCanvas } from '../../lib/bench/canvases';
import { readHeader } from '../../lib/checkpoint/safetensors';
import { companionFiles, safetensorsHeader } from '../../lib/checkpoint/writing';
import { bytesOf, widened } from '../../lib/training/floats';
import { runMain } from '../support/main';
import { canvasesFor, type Distance, distance, type Opinion, opinionOf } from '../support/quality';
import { markdownTable, mean } from './support/figures';
import { bitsPerWeight, type Grid, rounded } from './support/grids';
import { kept, nano, studyArguments, writeResults } from './support/study';

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What the errors of a column are weighted by: nothing, its activations' mean square, or the square of the norm's scale. */
type Importance = 'none' | 'activations' | 'norm';

interface Variant {
  readonly title: string;
  /** The grid of a matrix. */
  readonly gridOf: (name: string) => Grid;
  readonly importance?: Importance;
}

const q8: Grid = { bits: 8, group: 64, minimums: false };
const q4: Grid = { bits: 4, group: 64, minimums: true };
const q5: Grid = { ...q4, bits: 5 };
const outside = /self_attn|lm_head/;

/** `grid`, but q8 for the matrices whose names match. */
const withQ8 = (grid: Grid, names: RegExp) => (name: string) => (names.test(name) ? q8 : grid);

const variants: readonly Variant[] = [
  { title: 'q4', gridOf: () => q4 },
  { title: 'q4, each try fitted twice', gridOf: () => ({ ...q4, fits: 2 }) },
  { title: 'q4, errors weighted by activations', gridOf: () => q4, importance: 'activations' },
  { title: 'q4, errors weighted by norms', gridOf: () => q4, importance: 'norm' },
  { title: 'groups of 32, zero point 8', gridOf: () => ({ bits: 4, group: 32, minimums: false }) },
  { title: 'q4, head in q8', gridOf: withQ8(q4, /lm_head/) },
  { title: 'q4, attention in q8', gridOf: withQ8(q4, /self_attn/) },
  { title: 'q4m', gridOf: withQ8(q4, outside) },
  { title: 'q4, groups of 32', gridOf: () => ({ ...q4, group: 32 }) },
  { title: 'q5', gridOf: () => q5 },
  { title: 'q5m', gridOf: withQ8(q5, outside) },
  {
    title: 'q4, down projections, attention and head in q8',
    gridOf: withQ8(q4, /down_proj|self_attn|lm_head/),
  },
  { title: '6 bits, zero point 32', gridOf: () => ({ bits: 6, group: 64, minimums: false }) },
  { title: 'q8', gridOf: () => q8 },
];

const isMatrix = ({ name }: Tensor) => /_proj\.weight$|lm_head/.test(name);

async function tensorsOf(folder: string): Promise<Tensor[]> {
  const path = join(folder, 'model.safetensors');
  const file = readFileSync(path);
  const { tensors } = await readHeader(path);
  return tensors.map(({ name, shape, offset, bytes }) => {
    const halves = new Uint16Array(
      file.buffer.slice(file.byteOffset + offset, file.byteOffset + offset + bytes),
    );
    return { name, shape, values: widened(halves) };
  });
}

/** Writes an f32 checkpoint of nano's configuration. */
function write(folder: string, tensors: readonly Tensor[]): void {
  mkdirSync(folder, { recursive: true });
  for (const name of companionFiles)
    if (existsSync(join(nano, name))) cpSync(join(nano, name), join(folder, name));
  const config = JSON.parse(readFileSync(join(nano, 'config.json'), 'utf8'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, torch_dtype: 'float32' }));
  const entries = tensors.map(({ name, shape, values }) => ({
    name,
    dtype: 'F32',
    shape,
    bytes: values.byteLength,
  }));
  const data = tensors.map(({ values }) => bytesOf(values));
  writeFileSync(join(folder, 'model.safetensors'), Buffer.concat([safetensorsHeader(entries, {}), ...data]));
}

/** What the variants are compared with. */
interface Reference {
  readonly tensors: readonly Tensor[];
  readonly canvases: readonly BenchCanvas[];
  readonly opinion: Opinion;
  readonly vocabulary: number;
  /** Mean squares of each layer's normalized input, and last of the head's. */
  readonly squares: readonly Float64Array[];
}

async function withModel<T>(folder: string, use: (model: DiffusionLM) => Promise<T>): Promise<T> {
  const model = await DiffusionLM.load(folder, { device: 'cpu', dtype: 'f32' });
  try {
    return await use(model);
  } finally {
    await model.dispose();
  }
}

function referenceOf(questions: number): Promise<Reference> {
  return withModel(nano, async (model) => {
    const canvases = await canvasesFor(model, questions);
    const { vocabulary, hidden } = model.config.architecture;
    const squares: Float64Array[] = [];
    for (const { tokens } of canvases) {
      const { hidden: states } = await model.forward(tokens, {
        hidden: true,
        positions: tokens.map((_, i) => i),
      });
      if (states === undefined) throw new Error('no hidden states');
      for (const [layer, rows] of [states.embed, ...states.layers].entries()) {
        squares[layer] ??= new Float64Array(hidden);
        addSquares(squares[layer], rows);
      }
    }
    const opinion = await opinionOf(model, canvases);
    return { tensors: await tensorsOf(nano), canvases, opinion, vocabulary, squares };
  });
}

/** Adds the squares of rows of mean square 1. */
function addSquares(sums: Float64Array, rows: Float32Array): void {
  for (let first = 0; first < rows.length; first += sums.length) {
    const row = rows.subarray(first, first + sums.length);
    const scale = sums.length / row.reduce((sum, value) => sum + value * value, 0);
    for (const [i, value] of row.entries()) sums[i] = (sums[i] as number) + scale * value * value;
  }
}

/** Of the columns of a matrix that reads a norm's output; null for others, whose inputs the study does not see. */
function importanceOf(name: string, kind: Importance, { tensors, squares }: Reference): Float64Array | null {
  const layer = /layers\.(\d+)\./.exec(name)?.[1];
  const norm = /[qkv]_proj/.test(name)
    ? `model.layers.${layer}.input_layernorm.weight`
    : /gate_proj|up_proj/.test(name)
      ? `model.layers.${layer}.post_attention_layernorm.weight`
      : 'model.norm.weight';
  if (kind === 'none' || /o_proj|down_proj/.test(name)) return null;
  const scales = tensors.find((tensor) => tensor.name === norm)?.values as Float32Array;
  const inputs = squares[layer === undefined ? squares.length - 1 : Number(layer)] as Float64Array;
  return Float64Array.from(scales, (scale, i) => scale ** 2 * (kind === 'norm' ? 1 : (inputs[i] as number)));
}

interface Result {
  readonly title: string;
  readonly bits: number;
  readonly distances: readonly Pick<Distance, 'kl' | 'nmse'>[];
}

async function measure(variant: Variant, seeds: readonly number[], reference: Reference, folder: string) {
  const { title, gridOf, importance = 'none' } = variant;
  const matrices = reference.tensors.filter(isMatrix);
  const weights = matrices.reduce((sum, { values }) => sum + values.length, 0);
  const bits = matrices.reduce(
    (sum, { name, values }) => sum + values.length * bitsPerWeight(gridOf(name)),
    0,
  );
  const distances: Pick<Distance, 'kl' | 'nmse'>[] = [];
  for (const seed of seeds) {
    const random = new Random(seed);
    const tensors = reference.tensors.map((tensor) => {
      if (!isMatrix(tensor)) return tensor;
      const { name, shape, values } = tensor;
      const columns = shape[1] as number;
      const weighted = importanceOf(name, importance, reference);
      return { name, shape, values: rounded(values, columns, gridOf(name), weighted, random) };
    });
    write(folder, tensors);
    const other = await withModel(folder, (model) => opinionOf(model, reference.canvases));
    const { kl, nmse } = distance(reference.opinion, other, reference.vocabulary, 2);
    distances.push({ kl, nmse });
  }
  return { title, bits: bits / weights, distances };
}

const geometricMean = (values: readonly number[]) => Math.exp(mean(values.map(Math.log)));

async function main(): Promise<void> {
  const { folder, seeds, quick } = studyArguments('weight-grids', '1,2,3,4,5,6,7,8,9,10,11,12');
  mkdirSync(folder, { recursive: true });
  const reference = await referenceOf(quick ? 2 : 100);
  const results: Result[] = [];
  for (const [i, variant] of (quick ? variants.slice(6, 8) : variants).entries()) {
    const place = join(folder, `${i}.json`);
    results.push(await kept(place, () => measure(variant, seeds, reference, join(folder, 'rounded'))));
  }
  const rows = results.map(({ title, bits, distances }) => [
    title,
    String(Number(bits.toFixed(2))),
    geometricMean(distances.map(({ kl }) => kl)).toExponential(1),
    geometricMean(distances.map(({ nmse }) => nmse)).toExponential(1),
  ]);
  console.log(markdownTable(['grid', 'bits a weight', 'KL', 'NMSE of logits'], rows));
  writeResults(join(folder, 'weight-grids.json'), results);
}

runMain(main);

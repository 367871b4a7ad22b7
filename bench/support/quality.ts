import { addition, reversal, sorting, subtraction } from '../../examples/support/questions';
import { Random } from '../../examples/support/random';
import type { DiffusionLM } from '../../lib';
import { type BenchCanvas, canvasKinds } from '../../lib/bench/canvases';

/** A model's output for some canvases: logits that predict masked positions, and the routers' choices. */
export interface Opinion {
  /** One array for each canvas, (masked positions, vocabulary). */
  readonly logits: readonly Float32Array[];
  /** One array for each canvas and layer. */
  readonly routes: readonly Int32Array[];
}

/** The distance between the outputs of two models. */
export interface Distance {
  /** Mean over positions of Σ p · log(p / q), in nats; p is the reference. */
  readonly kl: number;
  /** Share of positions whose most probable token is the same. */
  readonly agreement: number;
  /** Σ (difference of logits)² / Σ logits². */
  readonly nmse: number;
  /** Share of chosen experts that both models chose. */
  readonly routes: number;
}

const lengths = { prompt: 128, answer: 32 };
const questionKinds = [addition, subtraction, sorting, reversal];

/** Questions of the kinds that the embedded model was trained on. */
export function questions(count: number, seed: number) {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, i) => (questionKinds[i % 4] as typeof addition)(random));
}

/** Partly unmasked canvases of answers if the model has a tokenizer, else random tokens, with and without masks. */
export async function canvasesFor(model: DiffusionLM, count: number): Promise<BenchCanvas[]> {
  if (model.tokenizer === null) {
    const kinds = canvasKinds(model, lengths.prompt);
    return Array.from({ length: count }, (_, i) => kinds[i % kinds.length]?.make(i + 1) as BenchCanvas);
  }
  const canvases: BenchCanvas[] = [];
  for (const { text } of questions(count, 1)) {
    for await (const frame of model.denoise(text, { maxNewTokens: lengths.answer, steps: 6 })) {
      const masked = Int32Array.from(
        [...frame.masked.keys()].filter((position) => frame.masked[position] === 1),
      );
      if (masked.length > 0) canvases.push({ tokens: frame.tokens, masked });
    }
  }
  return canvases;
}

export async function opinionOf(model: DiffusionLM, canvases: readonly BenchCanvas[]): Promise<Opinion> {
  const logits: Float32Array[] = [];
  const routes: Int32Array[] = [];
  for (const { tokens, masked } of canvases) {
    // The logits of a position predict the next one.
    const positions = masked.map((position) => Math.max(position - 1, 0));
    const output = await model.forward(tokens, { positions, routing: true });
    logits.push(output.logits);
    for (const { expertIds } of output.routing ?? []) routes.push(expertIds);
  }
  return { logits, routes };
}

/** @param experts number of experts chosen for each row */
export function distance(reference: Opinion, other: Opinion, vocabulary: number, experts: number): Distance {
  let [rows, kl, agreed, error, power] = [0, 0, 0, 0, 0];
  for (const [canvas, p] of reference.logits.entries()) {
    const q = other.logits[canvas] as Float32Array;
    for (let first = 0; first < p.length; first += vocabulary) {
      const [a, b] = [p.subarray(first, first + vocabulary), q.subarray(first, first + vocabulary)];
      const [normA, normB] = [logSumExp(a), logSumExp(b)];
      for (let token = 0; token < vocabulary; token++) {
        const [x, y] = [a[token] as number, b[token] as number];
        kl += Math.exp(x - normA) * (x - normA - (y - normB));
        error += (x - y) ** 2;
        power += x ** 2;
      }
      agreed += argmax(a) === argmax(b) ? 1 : 0;
      rows++;
    }
  }
  return {
    kl: kl / rows,
    agreement: agreed / rows,
    nmse: error / power,
    routes: shared(reference, other, experts),
  };
}

function shared(reference: Opinion, other: Opinion, experts: number): number {
  let [same, all] = [0, 0];
  for (const [index, ids] of reference.routes.entries()) {
    const others = other.routes[index] as Int32Array;
    for (let first = 0; first < ids.length; first += experts) {
      const chosen = new Set(others.subarray(first, first + experts));
      for (const id of ids.subarray(first, first + experts)) same += chosen.has(id) ? 1 : 0;
      all += experts;
    }
  }
  return same / all;
}

function logSumExp(logits: Float32Array): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const value of logits) if (value > max) max = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - max);
  return max + Math.log(sum);
}

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i;
  return best;
}

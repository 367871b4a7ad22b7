import { Random } from '../../../examples/support/random';
import { DiffusionLM } from '../../../lib';
import { isCausal } from '../../../lib/families/traits';
import { canvasOf } from '../../../models/nano-training/data';
import { canvasLength, type Fact, factsText, factsTogether, makeSkill } from './texts';

/** Positions of a canvas whose tokens a model is asked for, all in one forward pass. */
export interface Question {
  readonly tokens: Int32Array;
  readonly positions: readonly number[];
}

/** Share of right tokens, and of questions all of whose tokens are right. */
export interface Share {
  readonly tokens: number;
  readonly questions: number;
}

/** Canvases that share a forward pass. */
const together = 128;

const valueOffset = 5;
const factLength = 10;
const valueDigits = 4;

const tokensOf = (text: string) => Int32Array.from(canvasOf(text, canvasLength));

/** The digits of facts: one of each fact at a time, or all. Facts that fill no canvas are left out. */
export function factQuestions(facts: readonly Fact[], masked: 'one' | 'all'): Question[] {
  const questions: Question[] = [];
  for (let first = 0; first + factsTogether <= facts.length; first += factsTogether) {
    const tokens = tokensOf(factsText(facts.slice(first, first + factsTogether)));
    const at = (fact: number, digit: number) => fact * factLength + valueOffset + digit;
    const each = Array.from({ length: factsTogether }, (_, fact) => fact);
    const all = Array.from({ length: valueDigits }, (_, digit) => each.map((fact) => at(fact, digit)));
    if (masked === 'all') questions.push({ tokens, positions: all.flat().sort((a, b) => a - b) });
    else questions.push(...all.map((positions) => ({ tokens, positions })));
  }
  return questions;
}

/** The answers of skills that training has hardly seen. */
export function skillQuestions(count: number, seed: number): Question[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const { question, answer } = makeSkill(random);
    const first = question.length;
    // With its end: a model has to know the length, too.
    const positions = Array.from({ length: answer.length + 1 }, (_, i) => first + i);
    return { tokens: tokensOf(question + answer), positions };
  });
}

/** How a diffusion model fills the positions in one pass, or how a causal one goes on from the tokens before each. */
async function ask(model: DiffusionLM, questions: readonly Question[]): Promise<Share> {
  const { config } = model;
  const { predictionShift } = config.architecture;
  const maskTokenId = isCausal(config.architecture) ? null : config.tokens.maskTokenId;
  let [tokens, right, whole] = [0, 0, 0];
  for (let i = 0; i < questions.length; i += together) {
    const some = questions.slice(i, i + together);
    const outputs = await model.forwardAll(
      some.map((question) => ({
        tokens: maskTokenId === null ? question.tokens : masked(question, maskTokenId),
        positions: Int32Array.from(question.positions, (position) => position - predictionShift),
      })),
    );
    for (const [j, { tokens: clean, positions }] of some.entries()) {
      const { logits, shape } = outputs[j] as (typeof outputs)[number];
      const hits = positions.filter(
        (position, row) => largest(logits.subarray(row * shape[1], (row + 1) * shape[1])) === clean[position],
      ).length;
      tokens += positions.length;
      right += hits;
      if (hits === positions.length) whole++;
    }
  }
  return { tokens: right / tokens, questions: whole / questions.length };
}

function masked({ tokens, positions }: Question, maskTokenId: number): Int32Array {
  const out = tokens.slice();
  for (const position of positions) out[position] = maskTokenId;
  return out;
}

function largest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

/** Asks the model of a folder. */
export async function askFolder<T extends Readonly<Record<string, readonly Question[]>>>(
  folder: string,
  questions: T,
): Promise<Record<keyof T, Share>> {
  await using model = await DiffusionLM.load({ model: folder, dtype: 'f32' });
  const shares: [string, Share][] = [];
  for (const [name, each] of Object.entries(questions)) shares.push([name, await ask(model, each)]);
  return Object.fromEntries(shares) as Record<keyof T, Share>;
}

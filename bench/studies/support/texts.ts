import type { Random } from '../../../examples/support/random';

/** Bytes of a text with its end and pads: a canvas of the studies. */
export const canvasLength = 32;

/** Facts that one canvas holds. */
export const factsTogether = 3;

const letters = [...'abcdefghijklmnopqrstuvwxyz'];
const digits = [...'0123456789'];

const draw = (random: Random, alphabet: readonly string[], length: number) =>
  Array.from({ length }, () => random.pick(alphabet)).join('');

/** Four letters that stand for four digits: nothing but memory tells which. */
export interface Fact {
  readonly key: string;
  readonly value: string;
}

/** Facts with different keys. */
export function makeFacts(count: number, random: Random): Fact[] {
  const keys = new Set<string>();
  while (keys.size < count) keys.add(draw(random, letters, 4));
  return [...keys].map((key) => ({ key, value: draw(random, digits, 4) }));
}

/** The text of a canvas of facts. */
export const factsText = (facts: readonly Fact[]) =>
  facts.map(({ key, value }) => `${key} ${value}\n`).join('');

/** A question that can be worked out, with its answer. */
export interface Skill {
  readonly question: string;
  readonly answer: string;
}

const skills: readonly ((random: Random) => Skill)[] = [
  (random) => {
    const word = draw(random, letters, 5);
    return { question: `reverse ${word} `, answer: [...word].reverse().join('') };
  },
  (random) => {
    const word = draw(random, letters, 5);
    return { question: `sort ${word} `, answer: [...word].sort().join('') };
  },
  (random) => {
    const [a, b] = [random.below(100), random.below(100)];
    return { question: `${a}+${b}=`, answer: String(a + b) };
  },
];

export const makeSkill = (random: Random): Skill => random.pick(skills)(random);

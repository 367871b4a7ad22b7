import type { Random } from './random';

/** A question and a check of its answer. */
export interface Question {
  readonly text: string;
  /** Whether an answer is correct. */
  readonly check: (answer: string) => boolean;
}

const alphabet = [...'abcdefghijklmnopqrstuvwxyz'];
const words = [
  'lantern',
  'window',
  'river',
  'planet',
  'silver',
  'garden',
  'copper',
  'violin',
  'marble',
  'anchor',
];

/** `What is a+b?` with numbers below 100. */
export function addition(random: Random): Question {
  const [a, b] = [random.below(100), random.below(100)];
  return { text: `What is ${a}+${b}?`, check: (answer) => isNumber(answer) && Number(answer) - a === b };
}

/** `What is a-b?` with a ≥ b. */
export function subtraction(random: Random): Question {
  const [b, a] = [random.below(100), random.below(100)].sort((x, y) => x - y) as [number, number];
  return { text: `What is ${a}-${b}?`, check: (answer) => isNumber(answer) && Number(answer) + b === a };
}

/** `Sort z k m q`: three to eight different letters. */
export function sorting(random: Random): Question {
  const letters = random.shuffle(alphabet).slice(0, 3 + random.below(6));
  return {
    text: `Sort ${letters.join(' ')}`,
    check: (answer) => {
      const sorted = answer.split(' ');
      const ascending = sorted.every((letter, i) => i === 0 || letter >= (sorted[i - 1] as string));
      return ascending && sameLetters(sorted, letters);
    },
  };
}

/** `Reverse lantern`. */
export function reversal(random: Random): Question {
  const word = random.pick(words);
  return {
    text: `Reverse ${word}`,
    check: (answer) =>
      answer.length === word.length && [...answer].every((letter, i) => letter === word[word.length - 1 - i]),
  };
}

const isNumber = (text: string) => /^\d+$/.test(text);

function sameLetters(some: readonly string[], others: readonly string[]): boolean {
  const count = (list: readonly string[], letter: string) => list.filter((other) => other === letter).length;
  return (
    some.length === others.length && others.every((letter) => count(some, letter) === count(others, letter))
  );
}

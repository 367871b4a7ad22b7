import { own } from './request.js';

/**
 * @import { ServedModel } from './contract.d.ts'
 * @import { Form } from './request.js'
 *
 * Initial values of the fields.
 * @typedef {Omit<Form, 'puzzle' | 'entry'>} Fields
 *
 * An example: the label of a button, and the fields that it fills.
 * @typedef {{ label: string, fields: Partial<Fields> }} Example
 */

/** Tasks of the embedded model; other models get questions in plain language. */
const nano = {
  prompts: ['What is 47+38?', 'Sort z k m q b', 'Reverse lantern'],
  texts: [
    { text: 'Question: What is 47+38?\nAnswer: ___5', tokensPerHole: '1', label: '47 + 38 = ?5' },
    { text: 'Question: Reverse di___mo___d\nAnswer: dnomaid', tokensPerHole: '1', label: 'di?mo?d' },
    { text: 'Question: Sort z k m ___\nAnswer: k ___ q z', tokensPerHole: '1', label: 'z k m ?' },
  ],
  // The canvas length of its training: 32 new tokens, the last of them reserved.
  maxTokens: '31',
  steps: '32',
};

const others = {
  prompts: ['Why is the sky blue?', 'Name three rivers of Europe.', 'What is the opposite of hot?'],
  texts: [
    { text: 'The capital of ___ is Paris.', tokensPerHole: '1', label: 'The capital of …' },
    { text: 'Roses are red,\n___,\nSugar is sweet,\n___.', tokensPerHole: '5', label: 'Roses are red' },
  ],
  maxTokens: '64',
  steps: '64',
};

/** Sudokus, by size and number of holes. */
export const puzzles = /** @type {const} */ ([
  { size: 4, holes: 8, label: '4 × 4' },
  { size: 6, holes: 18, label: '6 × 6' },
  { size: 6, holes: 22, label: '6 × 6, harder' },
]);

/**
 * Examples for a model, and initial values of the other fields.
 *
 * @param {ServedModel | null} model
 */
export function examplesFor(model) {
  const { prompts, texts, maxTokens, steps } = model?.embedded ? nano : others;
  const gamma = model?.starting_schedule?.gamma ?? 0.01;
  /** @type {Fields} */
  const fields = {
    mode: 'prompt',
    prompt: prompts[0] ?? '',
    text: texts[0]?.text ?? '',
    maxTokens,
    tokensPerHole: texts[0]?.tokensPerHole ?? '4',
    steps,
    schedule: model?.starting_schedule === null ? own : (model?.starting_schedule?.type ?? 'entropy-bounded'),
    gamma: String(gamma),
    tau: '90',
    blocks: '',
    temperature: '0',
    seed: '',
  };
  return {
    fields,
    /** @type {Example[]} */
    prompts: prompts.map((prompt) => ({ label: prompt, fields: { prompt } })),
    /** @type {Example[]} */
    texts: texts.map(({ label, text, tokensPerHole }) => ({ label, fields: { text, tokensPerHole } })),
  };
}

/**
 * Suitable steps and entropy bound for each kind of text. The cells of a Sudoku depend on each other: many that are
 * each nearly certain are not so together.
 *
 * @param {Fields} fields
 * @returns {Record<string, { steps: string, gamma: string }>}
 */
export const habitsOf = ({ steps, gamma }) => ({
  prompt: { steps, gamma },
  holes: { steps: '', gamma },
  sudoku: { steps: '18', gamma: String(Number(gamma) / 20) },
});

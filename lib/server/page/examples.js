/** Things to begin with. The nano model knows its tasks alone; any other is asked like a person. */
const nano = {
  prompts: ['What is 47+38?', 'Sort z k m q b', 'Reverse lantern'],
  texts: [
    { text: 'Question: What is ___+38?\nAnswer: 85', tokensPerHole: '2', label: '? + 38 = 85' },
    { text: 'Question: Reverse di___mo___d\nAnswer: dnomaid', tokensPerHole: '1', label: 'di?mo?d' },
    { text: 'Question: Sort z k ___ q\nAnswer: ___ m q z', tokensPerHole: '1', label: 'z k ? q' },
  ],
  // The canvas that it was taught: 32 new tokens, the last of them reserved.
  maxTokens: '31',
  steps: '16',
};

const others = {
  prompts: ['Why is the sky blue?', 'Name three rivers of Europe.', 'What is the opposite of hot?'],
  texts: [
    { text: 'The capital of ___ is Paris.', tokensPerHole: '1', label: 'The capital of …' },
    { text: 'Roses are red,\n___,\nSugar is sweet,\n___.', tokensPerHole: '5', label: 'Roses are red' },
  ],
  maxTokens: '64',
  steps: '32',
};

/** Sudokus, by size and number of holes. */
export const puzzles = /** @type {const} */ ([
  { size: 4, holes: 8, label: '4 × 4' },
  { size: 6, holes: 18, label: '6 × 6' },
  { size: 6, holes: 24, label: '6 × 6, harder' },
]);

/** @param {string | null} model */
export const isNano = (model) => model !== null && /\bnano\b/i.test(model);

/** @param {string | null} model */
export const examplesFor = (model) => (isNano(model) ? nano : others);

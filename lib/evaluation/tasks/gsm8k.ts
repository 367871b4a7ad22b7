import { strip } from '../python/text';
import { textColumn } from './columns';
import type { EvaluationDocument, FixedExamples, GenerationTask } from './definition';

const split = (name: string) => ({ repositories: ['openai/gsm8k'], config: 'main', split: name });

const common = {
  kind: 'generation',
  version: 3,
  documents: split('test'),
  description: '',
  metric: {
    name: 'exact_match',
    // The last one is Python's `\.$`, which also matches before a line break at the end.
    ignored: [/,/, /\$/, /[\s\S]*#### /, /\.(?=\n?$)/],
    ignoreCase: true,
  },
} as const;

const flexible = { name: 'flexible-extract', pattern: /(-?[$0-9.,]{2,})|(-?[0-9]+)/, match: 'last' } as const;

/** Grade-school mathematics: the examples are drawn from the training data, with their calculations. */
export const gsm8k: GenerationTask = {
  ...common,
  name: 'gsm8k',
  examples: { type: 'drawn', from: split('train') },
  shots: 5,
  targetDelimiter: ' ',
  until: ['Question:', '</s>', '<|im_end|>'],
  filters: [{ name: 'strict-match', pattern: /#### (-?[0-9.,]+)/ }, flexible],
  question: (document) => `Question: ${textColumn(document, 'question')}\nAnswer:`,
  exampleAnswer: (document) => textColumn(document, 'answer'),
  target: (document) => textColumn(document, 'answer'),
};

/** The same questions after eight fixed examples of reasoning. */
export function gsm8kCotTask(examples: FixedExamples): GenerationTask {
  return {
    ...common,
    name: 'gsm8k_cot',
    version: examples.version ?? common.version,
    description: examples.description ?? '',
    examples: { type: 'fixed', examples },
    shots: 8,
    targetDelimiter: examples.targetDelimiter ?? ' ',
    until: ['Q:', '</s>', '<|im_end|>'],
    filters: [{ name: 'strict-match', pattern: /The answer is (-?[0-9.,]+)[^\n]/ }, flexible],
    question: (document) => `Q: ${textColumn(document, 'question')}\nA:`,
    exampleAnswer: (document) =>
      document.answer === undefined ? textColumn(document, 'target') : result(document),
    target: result,
  };
}

/** What stands behind the last mark of the data's answer. */
const result = (document: EvaluationDocument) =>
  strip(textColumn(document, 'answer').split('####').at(-1) as string);

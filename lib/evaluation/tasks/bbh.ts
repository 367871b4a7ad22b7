import { textColumn } from './columns';
import type { FixedExamples, GenerationTask } from './definition';

const question = (text: string) => `Q: ${text}\nA: Let's think step by step.\n`;

/** One part of BIG-Bench Hard, with the reasoning of three fixed examples. Versions differ in the examples alone. */
export function bbhTask(part: string, version: number, examples: FixedExamples): GenerationTask {
  return {
    kind: 'generation',
    name: `bbh_cot_fewshot_${part}`,
    version,
    documents: { repositories: ['SaylorTwift/bbh', 'lukaemon/bbh'], config: part, split: 'test' },
    examples: { type: 'fixed', examples },
    shots: 3,
    description: examples.description ?? '',
    targetDelimiter: examples.targetDelimiter ?? (version < 4 ? ' ' : ''),
    until: ['</s>', 'Q', '\n\n'],
    filters: [{ name: 'get-answer', pattern: /(?<=the answer is )([^\n]*)(?=[^\n])/ }],
    metric: { name: 'exact_match', ignored: [], ignoreCase: false },
    question: (document) => question(textColumn(document, 'input')),
    exampleAnswer: (document) => textColumn(document, 'target'),
    target: (document) => textColumn(document, 'target'),
  };
}

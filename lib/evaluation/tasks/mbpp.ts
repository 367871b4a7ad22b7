import { textColumn, textsColumn } from './columns';
import type { EvaluationDocument, FixedExamples, GenerationTask } from './definition';

const tests = (document: EvaluationDocument) => textsColumn(document, 'test_list', 3).slice(0, 3).join('\n');

/** Small programs in Python, judged by three tests each. */
export function mbppTask(examples: FixedExamples): GenerationTask {
  return {
    kind: 'generation',
    name: 'mbpp',
    version: examples.version ?? 1,
    documents: { repositories: ['google-research-datasets/mbpp'], config: 'full', split: 'test' },
    examples: { type: 'fixed', examples },
    shots: 3,
    description: examples.description ?? '',
    targetDelimiter: examples.targetDelimiter ?? '',
    until: ['[DONE]'],
    filters: [{ name: 'none', pattern: null }],
    metric: { name: 'pass_at_1' },
    question: (document) =>
      `You are an expert Python programmer, and here is your task: ${textColumn(document, 'text')}` +
      ` Your code should pass these tests:\n\n${tests(document)}\n[BEGIN]\n`,
    exampleAnswer: (document) => `${textColumn(document, 'code')}\n[DONE]`,
    target: tests,
  };
}

import { strip } from '../python/text';
import { indexColumn, textColumn, textsColumn } from './columns';
import type { ChoiceTask } from './definition';

const letters = ['A', 'B', 'C', 'D'];

/** One subject of MMLU: four choices are listed, the answer is a letter. */
export function mmluTask(subject: string): ChoiceTask {
  const split = (name: string) => ({ repositories: ['cais/mmlu'], config: subject, split: name });
  return {
    kind: 'choice',
    name: `mmlu_${subject}`,
    alias: subject,
    version: 1,
    documents: split('test'),
    examples: { type: 'first', from: split('dev') },
    shots: 0,
    description: `The following are multiple choice questions (with answers) about ${subject.replaceAll('_', ' ')}.\n\n`,
    targetDelimiter: ' ',
    metrics: ['acc'],
    question(document) {
      const choices = textsColumn(document, 'choices', 4);
      const lines = letters.map((letter, i) => `${letter}. ${choices[i]}`);
      return [strip(textColumn(document, 'question')), ...lines, 'Answer:'].join('\n');
    },
    choices: () => letters,
    target: (document) => indexColumn(document, 'answer', letters.length),
    exampleAnswer: (document) => letters[indexColumn(document, 'answer', letters.length)] as string,
  };
}

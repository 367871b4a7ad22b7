import { textColumn, textsColumn, wrongColumn } from './columns';
import type { ChoiceTask, EvaluationDocument } from './definition';

const split = (name: string) => ({
  repositories: ['allenai/ai2_arc'],
  config: 'ARC-Challenge',
  split: name,
});

const column = (document: EvaluationDocument, name: 'text' | 'label') => {
  const { choices } = document;
  if (typeof choices !== 'object' || choices === null)
    throw wrongColumn('choices', 'an object of text and label', choices);
  return textsColumn(choices as EvaluationDocument, name, 1);
};

function answerOf(document: EvaluationDocument): number {
  const key = textColumn(document, 'answerKey');
  const index = column(document, 'label').indexOf(key);
  if (index < 0) throw wrongColumn('answerKey', 'one of the labels', key);
  return index;
}

/** The harder questions of the AI2 Reasoning Challenge: the choices are not listed in the prompt. */
export const arcChallenge: ChoiceTask = {
  kind: 'choice',
  name: 'arc_challenge',
  version: 1,
  documents: split('test'),
  examples: { type: 'drawn', from: split('train') },
  shots: 0,
  description: '',
  targetDelimiter: ' ',
  metrics: ['acc', 'acc_norm'],
  question: (document) => `Question: ${textColumn(document, 'question')}\nAnswer:`,
  choices: (document) => column(document, 'text'),
  target: answerOf,
  exampleAnswer: (document) => column(document, 'text')[answerOf(document)] as string,
};

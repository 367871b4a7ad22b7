import { RND1Error } from '../../support/errors';
import { parsePythonLiteral } from '../python/literal';
import { plainValue } from '../python/values';
import { textColumn, textsColumn, wrongColumn } from './columns';
import type { ChoiceTask, EvaluationDocument } from './definition';

const letters = 'ABCD';
const cloze = '  _  .';

interface Problem {
  readonly question: string;
  readonly options: readonly string[];
  /** Index of the right option. */
  readonly answer: number;
}

function problemsOf(document: EvaluationDocument): readonly [...Problem[], Problem] {
  const source = textColumn(document, 'problems');
  let value: unknown;
  try {
    value = plainValue(parsePythonLiteral(source));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new RND1Error('invalid_data', `the column problems is not a list of Python: ${error.message}`);
  }
  if (!Array.isArray(value) || value.length === 0) throw wrongColumn('problems', 'a list', value);
  return value.map(readProblem) as [...Problem[], Problem];
}

function readProblem(value: unknown): Problem {
  if (typeof value !== 'object' || value === null) throw wrongColumn('problems', 'a list of objects', value);
  const problem = value as EvaluationDocument;
  const letter = textColumn(problem, 'answer');
  const answer = letter.length === 1 ? letters.indexOf(letter) : -1;
  if (answer < 0) throw wrongColumn('answer', 'A, B, C or D', letter);
  return { question: textColumn(problem, 'question'), options: textsColumn(problem, 'options', 4), answer };
}

const rightOption = ({ options, answer }: Problem) => options[answer] as string;
const last = (document: EvaluationDocument) => problemsOf(document).at(-1) as Problem;

/** An answered problem. Version 2 kept the end of a cloze question and lost its beginning. */
function answered(problem: Problem, version: number): string {
  const { question } = problem;
  if (!question.endsWith(cloze)) return `Question: ${question}\nAnswer: ${rightOption(problem)}\n`;
  const stem = version === 2 ? question.slice(-5) : question.slice(0, -5);
  return `${stem}${rightOption(problem)}\n`;
}

/** Reading comprehension: an article, its problems with answers, and the last one without. */
export function raceTask(version: 2 | 3): ChoiceTask {
  const test = { repositories: ['EleutherAI/race'], config: 'high', split: 'test' };
  return {
    kind: 'choice',
    name: 'race',
    version,
    documents: test,
    // There is no other split: since version 3 an example may be the question itself.
    examples: { type: 'drawn', from: test, dropItself: version === 2 },
    shots: 0,
    description: '',
    targetDelimiter: ' ',
    metrics: ['acc'],
    question(document) {
      const problems = problemsOf(document);
      const before = problems.slice(0, -1).map((problem) => answered(problem, version));
      return `Article: ${textColumn(document, 'article')}\n\n${before.join('')}${last(document).question}`;
    },
    choices: (document) => last(document).options.slice(0, 4),
    target: (document) => last(document).answer,
    exampleAnswer: (document) => rightOption(last(document)),
  };
}

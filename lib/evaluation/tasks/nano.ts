import { nanoQuestions, nanoRepository, nanoSudokus } from '../nano/documents';
import { isSolution, type Size } from '../nano/grids';
import { sudokuText } from '../nano/questions';
import { textColumn, wrongColumn } from './columns';
import type { EvaluationDocument, FillTask, GenerationTask, TaskDefinition } from './definition';

/** Bytes of the texts that the embedded model has learned, and how they end. */
const textBytes = 64;
const endOfText = '<|im_end|>';
const pad = '<|endoftext|>';

const common = (config: string) =>
  ({
    name: `nano_${config}`,
    alias: config.replaceAll('_', ' '),
    version: 1,
    documents: { repositories: [nanoRepository], config, split: 'test' },
    examples: { type: 'fixed', examples: { samples: [] } },
    shots: 0,
    description: '',
    targetDelimiter: ' ',
  }) as const;

const questionTask = (config: string): GenerationTask => ({
  ...common(config),
  kind: 'generation',
  until: ['\n'],
  filters: [{ name: 'none', pattern: null }],
  metric: { name: 'exact_match', ignored: [/^\s+/, /\s+$/], ignoreCase: false },
  question: (document) => `Question: ${textColumn(document, 'question')}\nAnswer:`,
  exampleAnswer: (document) => textColumn(document, 'answer'),
  target: (document) => textColumn(document, 'answer'),
});

const sudokuTask = (config: string): FillTask => ({
  ...common(config),
  kind: 'fill',
  question: (document) => sudokuText(sizeOf(document), cellsOf(document)),
  exampleAnswer: () => '',
  template(document) {
    const text = sudokuText(sizeOf(document), cellsOf(document));
    const title = text.indexOf('\n') + 1;
    const pieces = [...text.slice(title)].map((character) => (character === '0' ? { length: 1 } : character));
    // The last pad is added by the model.
    const pads = pad.repeat(textBytes - text.length - 2);
    return [text.slice(0, title), ...pieces, endOfText, pads];
  },
  isRight(document, filled) {
    const size = sizeOf(document);
    const rows = filled.split('\n').slice(1, size + 1);
    const digits = rows.flatMap((row) => [...row].map(Number));
    return isSolution(size, digits, cellsOf(document));
  },
});

function sizeOf({ size }: EvaluationDocument): Size {
  if (size !== 4 && size !== 6) throw wrongColumn('size', '4 or 6', size);
  return size;
}

function cellsOf(document: EvaluationDocument): number[] {
  const cells = textColumn(document, 'cells');
  const size = sizeOf(document);
  if (!/^[0-6]+$/.test(cells) || cells.length !== size * size)
    throw wrongColumn('cells', `${size * size} digits`, cells);
  return [...cells].map(Number);
}

/** What the embedded model has learned; the documents are made, so it needs no data. */
export const nanoTasks: readonly TaskDefinition[] = [
  ...nanoQuestions.map(questionTask),
  ...nanoSudokus.map(sudokuTask),
];

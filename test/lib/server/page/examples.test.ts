import { DiffusionLM } from '../../../../lib';
import { createServer, type Server } from '../../../../lib/server';
import type { DenoiseRequest, ServedModel } from '../../../../lib/server/page/contract';
import { EventStreamParser } from '../../../../lib/server/page/event-stream.js';
import { examplesFor, habitsOf, puzzles } from '../../../../lib/server/page/examples.js';
import { isTask, warningFor } from '../../../../lib/server/page/knowledge.js';
import { type Form, requestOf } from '../../../../lib/server/page/request.js';
import { isSolved, makePuzzle } from '../../../../lib/server/page/sudoku.js';
import { random } from '../../../support/random';

// The page's examples must give right answers with the page's initial settings.

let model: DiffusionLM;
let server: Server;
let url = '';
beforeAll(async () => {
  model = await DiffusionLM.load();
  server = await createServer(model);
  url = await server.listen({ port: 0 });
});
afterAll(async () => {
  await server?.close();
  await model?.dispose();
});

async function answer(request: DenoiseRequest): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/v1/denoise`, {
    method: 'POST',
    headers,
    body: JSON.stringify(request),
  });
  const end = new EventStreamParser().push(await response.text()).find(({ event }) => event === 'end');
  return JSON.parse(end?.data ?? '{}').text;
}

const served = async () => {
  const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: ServedModel[] };
  return data[0] as ServedModel;
};
const puzzle = makePuzzle(4, 8, random(1));

const answers: Record<string, string> = {
  'What is 47+38?': '85',
  'Sort z k m q b': 'b k m q z',
  'Reverse lantern': 'nretnal',
  '47 + 38 = ?5': 'Question: What is 47+38?\nAnswer: 85',
  'di?mo?d': 'Question: Reverse diamond\nAnswer: dnomaid',
  'z k m ?': 'Question: Sort z k m q\nAnswer: k m q z',
};

test('the server says that the model is the embedded one, and what to begin with', async () => {
  expect(await served()).toMatchObject({
    embedded: true,
    reserves_end: true,
    starting_schedule: { type: 'entropy-bounded' },
  });
});

test('every example is right, and none is warned about', async () => {
  const { fields, prompts, texts } = examplesFor(await served());
  expect(fields.schedule).toBe('entropy-bounded');
  const labels = [...prompts, ...texts].map(({ label }) => label);
  expect(labels).toEqual(Object.keys(answers));
  for (const [mode, examples] of [
    ['prompt', prompts],
    ['holes', texts],
  ] as const) {
    for (const example of examples) {
      const form: Form = { ...fields, mode, ...habitsOf(fields)[mode], ...example.fields, puzzle };
      expect([example.label, (await answer(requestOf(form))).trimStart()]).toEqual([
        example.label,
        answers[example.label],
      ]);
      expect(warningFor(form)).toBe('');
    }
  }
});

test.each(puzzles)('new puzzles of $label are solved', async ({ size, holes }) => {
  const { fields } = examplesFor(await served());
  const solved = Array.from({ length: 12 }, async (_, seed) => {
    const own = makePuzzle(size, holes, random(seed));
    const form: Form = {
      ...fields,
      mode: 'sudoku',
      ...habitsOf(fields).sudoku,
      steps: String(holes),
      puzzle: own,
    };
    const digits = [...(await answer(requestOf(form))).slice('Sudoku 4x4\n'.length)].filter(
      (cell) => cell > '0' && cell < '7',
    );
    return isSolved(own.layout, digits.slice(0, size * size).map(Number));
  });
  expect(await Promise.all(solved)).toEqual(new Array(12).fill(true));
});

describe('what the embedded model cannot know', () => {
  const form = { ...examplesFor({ id: 'nano', embedded: true }).fields, puzzle };

  test.each([
    ['What is 0+99?', true],
    ['What is 100+1?', false],
    ['What is 5-5?', true],
    ['What is 3-5?', false],
    ['what is 3+5?', false],
    ['Sort a b c', true],
    ['Sort a b', false],
    ['Sort a b c d e f g h i', false],
    ['Reverse abc', true],
    ['Reverse ab', false],
    ['Reverse Lantern', false],
    ['Why is the sky blue?', false],
  ])('%j is a task: %s', (prompt, known) => {
    expect(isTask(prompt)).toBe(known);
    expect(warningFor({ ...form, prompt }) === '').toBe(known);
  });

  test.each([
    ['Question: What is 47___38?\nAnswer: 9', true],
    ['Question: Reverse ___\nAnswer: cba\n', true],
    ['Sudoku 4x4\n1___4', true],
    ['The capital of ___ is Paris.', false],
    ['Question: Who is ___?\nAnswer: me', false],
  ])('%j with holes is one: %s', (text, known) => {
    expect(warningFor({ ...form, mode: 'holes', text }) === '').toBe(known);
  });

  test('so much room is warned about, and Sudokus never', () => {
    expect(warningFor({ ...form, maxTokens: '200' })).toContain('31 tokens');
    expect(warningFor({ ...form, mode: 'sudoku', prompt: 'nonsense' })).toBe('');
  });
});
